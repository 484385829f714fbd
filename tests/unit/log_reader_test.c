/* Logs of other MTAs, line by line: what is said of whom. Postfix has a test of its own. */
#include "collector/log_reader.h"
#include "core/base/buf.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>

/* 2026-11-21 18:00:00 UTC */
#define NOW 1795284000000u

#define EXIM "2026-11-21 18:19:52 1xUpgm-0007dn-05 "
#define SENDMAIL "Nov 21 17:56:34 mx sendmail[18991]: 6ALHuYND018989: "
#define OPENSMTPD                                                                                            \
	"9dafabdf4533bdba mta delivery evpid=0b0ad77999976efb from=<s@a.test> to=<r@b.test> rcpt=<-> "
#define HARAKA "2026-11-21T17:59:14.749Z [NOTICE] [5D239B48-E397-4520-9D35-E3B9EE580994.1"
#define UUID "5D239B48-E397-4520-9D35-E3B9EE580994.1"
#define PMTA "type,timeLogged,timeQueued,orig,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,x\n"
#define KUMO "\"id\":\"1d98076abbbc11ed940250ebf67f93bd\",\"sender\":\"s@a.test\",\"recipient\":\"r@b.test\""

/* A fact is told as kind|recipient|relay|dsn|reply|id|message id|sender|delay|attempt|text;
 * the kinds: + sent, ~ deferred, - bounced, x expired, < a message begins, and others as '.'. */
static const struct {
	const char *name;
	enum log_format format;
	const char *in;
	const char *want;
} rows[] = {
	{"received", LOG_FORMAT_EXIM,
		EXIM "<= n@a.test H=(c.test) [192.0.2.9] P=esmtp S=337 id=1@c.test T=\"a id=2@x\" from <> "
		     "for r@b.test",
		"<||||0|1xUpgm-0007dn-05|1@c.test|n@a.test||0|\n"},
	{"notification", LOG_FORMAT_EXIM, EXIM "<= <> R=1xUpgm-0007dn-01 U=exim P=local S=3250",
		"<||||0|1xUpgm-0007dn-05||||0|\n"},
	{"sent", LOG_FORMAT_EXIM,
		EXIM
		"=> r@b.test R=dns T=smtp H=mx.b.test [192.0.2.1] X=TLS1.3:x:256 CV=yes DN=\"CN=a, b\" K "
		"C=\"250 2.0.0 Ok: queued as 1A2\"",
		"+|r@b.test|mx.b.test [192.0.2.1]|2.0.0|250|1xUpgm-0007dn-05||||0|250 2.0.0 Ok: queued as "
		"1A2\n"},
	{"pid, fraction, zone, all keys", LOG_FORMAT_EXIM,
		"2026-11-21 18:20:05.682 +0100 [30003] 1xUpgm-00007dn0000-0abc -> r@b.test <list@a.test> "
		"F=<n@a.test> "
		"P=<n@a.test> R=all T=out S=343 H=mx [192.0.2.1]:2601* I=[192.0.2.9]:1 L K C=\"250 OK id=x\" "
		"QT=1m2.5s",
		"+|r@b.test|mx [192.0.2.1]:2601||250|1xUpgm-00007dn0000-0abc||n@a.test|62.5|0|250 OK id=x\n"},
	{"through syslog", LOG_FORMAT_EXIM,
		"Nov 21 18:19:52 mx exim[1]: 2026-11-21 18:19:52 1xUpgm-0007dn-05 => r@b.test R=a T=b "
		"C=\"250 OK\"",
		"+|r@b.test|||250|1xUpgm-0007dn-05||||0|250 OK\n"},
	{"through syslog, one stamp", LOG_FORMAT_EXIM,
		"Nov 21 18:19:52 mx exim[1]: 1xUpgm-0007dn-05 => r@b.test R=a T=b C=\"250 OK\"",
		"+|r@b.test|||250|1xUpgm-0007dn-05||||0|250 OK\n"},
	{"bounced", LOG_FORMAT_EXIM,
		EXIM "** r@b.test R=a T=b H=mx [192.0.2.1]: SMTP error from remote mail server after RCPT "
		     "TO:<r@b.test>: 550-5.1.1 no\\n550 5.1.1 such",
		"-|r@b.test|mx [192.0.2.1]|5.1.1|550|1xUpgm-0007dn-05||||0|SMTP error from remote mail "
		"server after RCPT "
		"TO:<r@b.test>: 550-5.1.1 no\\n550 5.1.1 such\n"},
	{"bounced, LMTP", LOG_FORMAT_EXIM,
		EXIM "** r@b.test R=a T=b H=mx [192.0.2.1]: LMTP error after BDAT 332 LAST: 550 5.7.1 spam",
		"-|r@b.test|mx [192.0.2.1]|5.7.1|550|1xUpgm-0007dn-05||||0|LMTP error after BDAT 332 LAST: "
		"550 5.7.1 spam\n"},
	{"code only where it belongs", LOG_FORMAT_EXIM, EXIM "** r@b.test R=a: x: 250 Ok",
		"-|r@b.test|||0|1xUpgm-0007dn-05||||0|x: 250 Ok\n"},
	{"deferred", LOG_FORMAT_EXIM, EXIM "== r@b.test R=a T=b defer (111): Connection refused",
		"~|r@b.test|||0|1xUpgm-0007dn-05||||0|Connection refused\n"},
	{"deferred, host and time", LOG_FORMAT_EXIM,
		EXIM "== r@b.test R=a T=b defer (-44) H=mx [192.0.2.1]:25 DT=0.000s: SMTP error from remote "
		     "mail server "
		     "after pipelined end of data: 451 4.7.1 later",
		"~|r@b.test|mx [192.0.2.1]:25|4.7.1|451|1xUpgm-0007dn-05||||0|SMTP error from remote mail "
		"server "
		"after pipelined end of data: 451 4.7.1 later\n"},
	{"not routed", LOG_FORMAT_EXIM, EXIM "== r@b.test routing defer (-52): retry time not reached",
		"~|r@b.test|||0|1xUpgm-0007dn-05||||0|retry time not reached\n"},
	{"expired", LOG_FORMAT_EXIM, EXIM "** r@b.test: retry timeout exceeded",
		"x|r@b.test|||0|1xUpgm-0007dn-05||||0|retry timeout exceeded\n"},
	{"local user", LOG_FORMAT_EXIM, EXIM "=> bob <bob@b.test> R=local T=file",
		"+|bob@b.test|||0|1xUpgm-0007dn-05||||0|\n"},
	{"command", LOG_FORMAT_EXIM, EXIM "=> |/bin/cat -x \"a b\" <bob@b.test> R=local T=pipe",
		"+|bob@b.test|||0|1xUpgm-0007dn-05||||0|\n"},
	{"thrown away", LOG_FORMAT_EXIM, EXIM "=> :blackhole: <bob@b.test> R=local",
		"+|bob@b.test|:blackhole:||0|1xUpgm-0007dn-05||||0|\n"},
	{"thrown away, nobody named", LOG_FORMAT_EXIM, EXIM "=> blackhole (RCPT ACL discarded recipients)",
		""},
	{"keys in the local part", LOG_FORMAT_EXIM,
		EXIM "=> odd => <v@c.test> r=y t=z: q@a.test <\"odd => <v@c.test> R=y T=z: q\"@a.test> R=all "
		     "T=out C=\"250 "
		     "Ok\"",
		"+|\"odd => <v@c.test> R=y T=z: q\"@a.test|||250|1xUpgm-0007dn-05||||0|250 Ok\n"},
	{"another address in the local part", LOG_FORMAT_EXIM,
		EXIM "** v@c.test R=y: x@a.test <\"v@c.test R=y: x\"@a.test>: Unrouteable address",
		"-|\"v@c.test R=y: x\"@a.test|||0|1xUpgm-0007dn-05||||0|Unrouteable address\n"},
	{"another recipient in the reply", LOG_FORMAT_EXIM,
		EXIM "=> r@b.test R=a T=b H=mx [192.0.2.1] C=\"250 \\\" <\\\"v\\\"@c.test> R=a => v@c.test\"",
		"+|r@b.test|mx [192.0.2.1]||250|1xUpgm-0007dn-05||||0|250 \\\" <\\\"v\\\"@c.test> R=a => "
		"v@c.test\n"},
	{"keys in the error", LOG_FORMAT_EXIM,
		EXIM "** r@b.test R=a T=b H=mx [192.0.2.1]: SMTP error from remote mail server after end of "
		     "data: 550 no H=x "
		     "C=\"250 2.0.0 ok\": 250 ok",
		"-|r@b.test|mx [192.0.2.1]||550|1xUpgm-0007dn-05||||0|SMTP error from remote mail server "
		"after end of data: "
		"550 no H=x C=\"250 2.0.0 ok\": 250 ok\n"},
	{"one host's answer", LOG_FORMAT_EXIM,
		EXIM "H=mx [192.0.2.1]: SMTP error from remote mail server: 451 x", ""},
	{"not delivered at all", LOG_FORMAT_EXIM, EXIM "*> r@b.test R=a T=b H=mx [192.0.2.1]", ""},
	{"completed", LOG_FORMAT_EXIM, EXIM "Completed QT=0.1s", ".||||0|1xUpgm-0007dn-05||||0|\n"},
	{"daemon", LOG_FORMAT_EXIM, "2026-11-21 18:19:50 exim 4.96 daemon started: pid=29284", ""},

	{"received", LOG_FORMAT_SENDMAIL,
		SENDMAIL "from=<n@a.test>, size=144, class=0, nrcpts=1, msgid=<1@c.test>, proto=ESMTP, "
			 "daemon=MTA, relay=h",
		"<||||0|6ALHuYND018989|1@c.test|n@a.test||0|\n"},
	{"sent to two", LOG_FORMAT_SENDMAIL,
		"<22>" SENDMAIL
		"to=<r@b.test>,<q@b.test>, delay=1+00:01:01, xdelay=00:00:00, mailer=esmtp, pri=30144, "
		"relay=mx.b.test. [192.0.2.1], dsn=2.0.0, stat=Sent (Ok: queued as 1A2)",
		"+|r@b.test|mx.b.test. [192.0.2.1]|2.0.0|0|6ALHuYND018989|||86461|0|Ok: queued as 1A2\n"
		"+|q@b.test|mx.b.test. [192.0.2.1]|2.0.0|0|6ALHuYND018989|||86461|0|Ok: queued as 1A2\n"},
	{"no host, no angles", LOG_FORMAT_SENDMAIL,
		"Nov 21 17:56:34 sm-mta[1]: 6ALHuYND018989: to=bob,al, ctladdr=<\"a, stat=x\"@b.test> (1/1), "
		"delay=00:00:02, "
		"mailer=local, dsn=2.0.0, stat=Sent",
		"+|bob||2.0.0|0|6ALHuYND018989|||2|0|\n+|al||2.0.0|0|6ALHuYND018989|||2|0|\n"},
	{"refused", LOG_FORMAT_SENDMAIL,
		SENDMAIL "to=<r@b.test>, delay=00:00:00, relay=mx [192.0.2.1], dsn=5.1.1, reply=550 5.1.1 "
			 "no, stat=User unknown",
		"-|r@b.test|mx [192.0.2.1]|5.1.1|550|6ALHuYND018989|||0|0|550 5.1.1 no, stat=User unknown\n"},
	{"deferred", LOG_FORMAT_SENDMAIL,
		SENDMAIL
		"to=<r@b.test>, delay=00:00:06, relay=mx, dsn=4.4.2, stat=Deferred: Connection reset by mx",
		"~|r@b.test|mx|4.4.2|0|6ALHuYND018989|||6|0|Deferred: Connection reset by mx\n"},
	{"an outcome in the reply", LOG_FORMAT_SENDMAIL,
		SENDMAIL "to=<r@b.test>, relay=mx, dsn=5.0.0, reply=550 x, dsn=2.0.0, stat=Sent (250 ok), "
			 "stat=Service unavailable",
		"-|r@b.test|mx|5.0.0|550|6ALHuYND018989||||0|550 x, dsn=2.0.0, stat=Sent (250 ok), "
		"stat=Service unavailable\n"},
	{"an outcome in the local part", LOG_FORMAT_SENDMAIL,
		SENDMAIL "to=<\"x>, dsn=5.0.0, stat=no\"@b.test>, relay=mx, dsn=2.0.0, stat=Sent",
		"+|\"x>, dsn=5.0.0, stat=no\"@b.test|mx|2.0.0|0|6ALHuYND018989||||0|\n"},
	{"queued", LOG_FORMAT_SENDMAIL,
		SENDMAIL "to=<r@b.test>, delay=00:00:00, mailer=esmtp, pri=1, stat=queued", ""},
	{"gave up", LOG_FORMAT_SENDMAIL,
		SENDMAIL "6ALHvahC022086: sender notify: Cannot send message for 5 days",
		"x||||0|6ALHuYND018989||||0|\n"},
	{"warning", LOG_FORMAT_SENDMAIL,
		SENDMAIL "6ALHvahC022086: sender notify: Warning: could not send message for past 4 hours",
		".||||0|6ALHuYND018989||||0|\n"},
	{"Postfix", LOG_FORMAT_SENDMAIL,
		"Nov 21 17:32:23 mx postfix/smtp[1]: A1B2C3D4E5: to=<r@b.test>, relay=none, delay=1, "
		"dsn=2.0.0, status=sent (x)",
		""},

	{"sent", LOG_FORMAT_OPENSMTPD,
		"Nov 21 17:56:34 mx smtpd[75295]: " OPENSMTPD
		"source=\"192.0.2.9\" relay=\"192.0.2.1 (mx.b.test)\" delay=1m20s "
		"result=\"Ok\" stat=\"250 2.0.0 1A2B3C4D Message accepted for delivery\"",
		"+|r@b.test|192.0.2.1 (mx.b.test)|2.0.0|250|0b0ad779||s@a.test|80|0|250 2.0.0 1A2B3C4D "
		"Message accepted for delivery\n"},
	{"deferred, not reached", LOG_FORMAT_OPENSMTPD,
		OPENSMTPD "source=\"-\" relay=\"\" delay=0s result=\"TempFail\" stat=\"Network error on "
			  "destination MXs\"",
		"~|r@b.test|||0|0b0ad779||s@a.test|0|0|Network error on destination MXs\n"},
	{"bounced, cut", LOG_FORMAT_OPENSMTPD,
		OPENSMTPD "source=\"x\" relay=\"y\" delay=0s result=\"PermFail\" stat=\"550-5.1.1 n",
		"-|r@b.test|y|5.1.1|550|0b0ad779||s@a.test|0|0|550-5.1.1 n\n"},
	{"keys in the reply", LOG_FORMAT_OPENSMTPD,
		OPENSMTPD
		"relay=\"y\" delay=0s result=\"PermFail\" stat=\"550 x\" result=\"Ok\" stat=\"250 2.0.0 ok\"",
		"-|r@b.test|y||550|0b0ad779||s@a.test|0|0|550 x\" result=\"Ok\" stat=\"250 2.0.0 ok\n"},
	{"keys in the local part", LOG_FORMAT_OPENSMTPD,
		"9dafabdf4533bdba mta delivery evpid=0b0ad77999976efb from=<s@a.test> to=<\"x> "
		"result=\"@b.test> rcpt=<o@b.test> "
		"relay=\"y\" delay=0s result=\"Ok\" stat=\"250 ok\"",
		"+|\"x> result=\"@b.test|y||250|0b0ad779||s@a.test|0|0|250 ok\n"},
	{"local", LOG_FORMAT_OPENSMTPD,
		"9dafabdf4533bdba mda delivery evpid=0b0ad77999976efb from=<> to=<bob@b.test> "
		"rcpt=<bob@b.test> user=bob "
		"delay=2s result=Ok stat=Delivered",
		"+|bob@b.test|||0|0b0ad779|||2|0|Delivered\n"},
	{"expired", LOG_FORMAT_OPENSMTPD,
		"relay: Expire for 0b0ad77999976efb: from=<s@a.test>, to=<r@b.test>, rcpt=<->, delay=4d, "
		"stat=Envelope expired",
		"x|r@b.test|||0|0b0ad779||s@a.test|345600|0|Envelope expired\n"},
	{"received", LOG_FORMAT_OPENSMTPD,
		"9dafabdf4533bdba smtp message msgid=0b0ad779 size=289 nrcpt=5 proto=ESMTP",
		"<||||0|0b0ad779||||0|\n"},
	{"session", LOG_FORMAT_OPENSMTPD, "9dafabdf4533bdba mta connected", ""},

	{"a life", LOG_FORMAT_HARAKA,
		HARAKA "] [core] sender <n@a.test> code=CONT msg=\"\"\n" HARAKA
		       "] [core] recipient <r@b.test> code=OK msg=\"\" sender=n@a.test\n" HARAKA
		       "] [core] recipient <q@b.test> code=OK msg=\"\"\n" HARAKA
		       "] [core] recipient <no@b.test> code=DENY msg=\"\"\n" HARAKA
		       "] [core] recipient <d@b.test> code=OK msg=\"\"\n" HARAKA
		       "] [core] recipient <z@c.test> code=OK msg=\"\"\n" HARAKA
		       "] [core] message mid=<1@c.test> size=154 rcpts=3/0/0\n" HARAKA
		       ".1] [outbound] recipient <q@b.test> rejected: 550 5.1.1 <x> rejected: no\n" HARAKA
		       ".1] [outbound] recipient <d@b.test> deferred: 451 later\n" HARAKA
		       ".1] [outbound]  delivered file=x domain=B.test host=mx ip=192.0.2.1 port=25 "
		       "mode=SMTP tls=N auth=N "
		       "response=\"Ok\" delay=9 fails=0 rcpts=9/0/0\" delay=0.5 fails=0 rcpts=1/1/1\n" HARAKA
		       ".1] [outbound]  delivered file=x domain=b.test host=mx ip=192.0.2.1 port=25 "
		       "mode=SMTP tls=N auth=N "
		       "response=\"Ok\" delay=90 fails=1 rcpts=1/0/0\n",
		"<||||0|" UUID "||n@a.test||0|\n"
		".||||0|" UUID "|1@c.test|||0|\n"
		"-|q@b.test||5.1.1|550|" UUID "||||0|550 5.1.1 <x> rejected: no\n"
		"~|d@b.test|||451|" UUID "||||0|451 later\n"
		"+|r@b.test|mx[192.0.2.1]:25||0|" UUID "|||0.5|1|Ok\" delay=9 fails=0 rcpts=9/0/0\n"
		"+|d@b.test|mx[192.0.2.1]:25||0|" UUID "|||90|2|Ok\n"},
	{"counts do not agree", LOG_FORMAT_HARAKA,
		HARAKA "] [core] recipient <r@b.test> code=OK msg=\"\"\n" HARAKA
		       "] [core] recipient <q@b.test> code=OK msg=\"\"\n" HARAKA
		       ".1] [outbound]  delivered file=x domain=b.test mode=SMTP response=\"Ok\" delay=1 "
		       "fails=0 rcpts=1/0/0\n",
		""},
	{"LMTP", LOG_FORMAT_HARAKA,
		HARAKA "] [core] recipient <r@b.test> code=OK msg=\"\"\n" HARAKA
		       ".1] [outbound]  delivered file=x domain=b.test mode=LMTP response=\"Ok\" delay=1 "
		       "fails=0 rcpts=1/0/0\n",
		""},
	{"hostile local part", LOG_FORMAT_HARAKA,
		HARAKA ".1] [outbound] recipient <\"x> deferred: 451\"@b.test> rejected: 550 no",
		"-|\"x> deferred: 451\"@b.test|||550|" UUID "||||0|550 no\n"},

	{"header and types", LOG_FORMAT_POWERMTA,
		PMTA "d,2026-09-21 12:00:01+0000,2026-09-21 12:00:00+0000,s@a.test,r@b.test,relayed,2.0.0 "
		     "(success),"
		     "\"smtp;250 2.0.0 OK, \"\"yes\"\"\",mx.b.test (192.0.2.1),,1\n"
		     "b,1790000010,1790000000,s@a.test,\"\"\"q, x\"\"@b.test\",failed,5.1.1 (bad "
		     "mailbox),smtp;550 5.1.1 no,mx,"
		     "bad-mailbox,1\n"
		     "t,1790000010,,s@a.test,t@b.test,delayed,4.2.0,smtp;451 later,mx,,1\n"
		     "b,1790000010,,s@a.test,e@b.test,failed,4.4.7,,,message-expired,1\n"
		     "rs,1790000010,,s@a.test,l@b.test,delayed,4.4.7,,,,1\n"
		     "f,1790000010,,s@a.test,f@b.test,,,,,,1\n",
		"+|r@b.test|mx.b.test (192.0.2.1)|2.0.0|250|||s@a.test|1|0|250 2.0.0 OK, \"yes\"\n"
		"-|\"q, x\"@b.test|mx|5.1.1|550|||s@a.test|10|0|550 5.1.1 no\n"
		"~|t@b.test|mx|4.2.0|451|||s@a.test||0|451 later\n"
		"x|e@b.test||4.4.7|0|||s@a.test||0|\n"
		"~|l@b.test||4.4.7|0|||s@a.test||0|\n"},
	{"other order, other header", LOG_FORMAT_POWERMTA,
		"type,RCPT,header_message-id,orig,dsnStatus\nd,r@b.test,<1@c.test>,,2.0.0\ntype,orig,rcpt,"
		"y\nd,s@a.test,q@b.test,\n",
		"+|r@b.test||2.0.0|0||1@c.test|||0|\n+|q@b.test|||0|||s@a.test||0|\n"},
	{"no header", LOG_FORMAT_POWERMTA, "d,1790000010,,s@a.test,r@b.test\n", ""},
	{"line end within quotes", LOG_FORMAT_POWERMTA,
		PMTA "b,1790000010,,s@a.test,r@b.test,failed,5.0.0,\"smtp;550 "
		     "no\nd,1790000010,,s@a.test,v@b.test,,,,,,\n\",mx,,\n",
		"-|r@b.test|mx|5.0.0|550|||s@a.test||0|550 no\nd,1790000010,,s@a.test,v@b.test,,,,,,\n"},
	{"cut within quotes", LOG_FORMAT_POWERMTA,
		PMTA "b,1790000010,,s@a.test,r@b.test,failed,5.0.0,\"smtp;550 n\n"
		     "b,1790000010,,s@a.test,q@b.test,failed,5.0.0,\"smtp;550 no\",mx,,\n",
		"-|r@b.test||5.0.0|550|||s@a.test||0|550 n\n-|q@b.test|mx|5.0.0|550|||s@a.test||0|550 no\n"},
	{"cut in the recipient", LOG_FORMAT_POWERMTA,
		PMTA "b,1790000010,,s@a.test,r@b.te\nd,1790000010,,s@a.test,q@b.test,,,,,,\n",
		"+|q@b.test|||0|||s@a.test||0|\n"},

	{"delivered", LOG_FORMAT_KUMOMTA,
		"{\"type\":\"Delivery\"," KUMO
		",\"response\":{\"code\":250,\"enhanced_code\":{\"class\":2,\"subject\":0,\"detail\":0},"
		"\"content\":\"OK "
		"ids=8a5475ccbbc611eda12250ebf67f93bd\",\"command\":\".\"},\"peer_address\":{\"name\":\"mx.b."
		"test.\","
		"\"addr\":\"192.0.2.1\"},\"timestamp\":1795284000,\"created\":1795283998,\"num_attempts\":0,"
		"\"headers\":{\"Message-Id\":\"<1@c.test>\"}}",
		"+|r@b.test|mx.b.test.[192.0.2.1]|2.0.0|250|1d98076abbbc11ed940250ebf67f93bd|1@c.test|s@a."
		"test|2|1|"
		"250 2.0.0 OK ids=8a5475ccbbc611eda12250ebf67f93bd\n"},
	{"deferred, several", LOG_FORMAT_KUMOMTA,
		"{\"type\":\"TransientFailure\",\"id\":\"1d98\",\"sender\":\"\",\"recipient\":[\"r@b.test\","
		"\"\\\"q\\\"@b.test\"],"
		"\"response\":{\"code\":451,\"enhanced_code\":null,\"content\":\"later\"},\"num_attempts\":"
		"2}",
		"~|r@b.test|||451|1d98||||3|451 later\n~|\"q\"@b.test|||451|1d98||||3|451 later\n"},
	{"expired", LOG_FORMAT_KUMOMTA,
		"{\"type\":\"Expiration\"," KUMO
		",\"response\":{\"code\":551,\"content\":\"x\"},\"num_attempts\":5}",
		"x|r@b.test|||551|1d98076abbbc11ed940250ebf67f93bd||s@a.test||5|551 x\n"},
	{"came back", LOG_FORMAT_KUMOMTA,
		"{\"type\":\"OOB\"," KUMO ",\"response\":{\"code\":550,\"content\":\"x\"}}",
		"-|r@b.test|||550|1d98076abbbc11ed940250ebf67f93bd||s@a.test||0|550 x\n"},
	{"received", LOG_FORMAT_KUMOMTA, "{\"type\":\"Reception\"," KUMO "}",
		"<||||0|1d98076abbbc11ed940250ebf67f93bd||s@a.test||0|\n"},
	{"not ours", LOG_FORMAT_KUMOMTA, "{\"type\":\"Delayed\"," KUMO "}", ""},
	{"cut", LOG_FORMAT_KUMOMTA, "{\"type\":\"Delivery\"," KUMO, ""},
	{"wrong types", LOG_FORMAT_KUMOMTA,
		"{\"type\":\"Delivery\",\"id\":7,\"recipient\":{\"a\":1},\"response\":[]}", ""},
};

static char sign_of(const struct log_fact *f)
{
	if (f->kind == LOG_FACT_DELIVERY)
		return "?+~-"[f->outcome];
	return f->kind == LOG_FACT_EXPIRED ? 'x' : f->kind == LOG_FACT_RECEIVED ? '<' : '.';
}

static void tell(void *arg, const struct log_fact *f)
{
	struct buf *out = arg;
	const slice fields[] = {f->recipient, f->relay, f->dsn};
	double delay;

	buf_byte(out, (uint8_t)sign_of(f));
	for (size_t i = 0; i < 3; i++) {
		buf_byte(out, '|');
		buf_put(out, fields[i]);
	}
	buf_printf(out, "|%u|", f->reply);
	buf_put(out, f->id);
	buf_byte(out, '|');
	buf_put(out, f->message_id);
	buf_byte(out, '|');
	buf_put(out, f->sender);
	buf_byte(out, '|');
	if (log_fact_seconds(f->delay, &delay))
		buf_printf(out, "%.15g", delay);
	buf_printf(out, "|%u|", f->attempt);
	buf_put(out, f->text);
	buf_byte(out, '\n');
}

/* All lines of in, each before an unmapped page; the format it was taken for. */
static enum log_format read_all(enum log_format format, slice in, struct buf *out)
{
	struct log_reader *r = log_reader_open(format, tell, out);

	while (in.len) {
		size_t lf = slice_chr(in, '\n', 0);
		slice line = test_guard(slice_sub(in, 0, lf));

		log_reader_line(r, line, NOW, 0);
		test_unguard(line);
		in = lf == SLICE_NPOS ? SLICE_NONE : slice_from(in, lf + 1);
	}
	log_reader_end(r, 0);
	format = log_reader_format(r);
	log_reader_close(&r);
	return format;
}

static void name_of(size_t row, char out[100])
{
	snprintf(out, 100, "%s: %s", log_format_word(rows[row].format), rows[row].name);
}

static void table(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char name[100];

		name_of(i, name);
		buf_clear(&out);
		read_all(rows[i].format, slice_str(rows[i].in), &out);
		test_slices_equal(name, buf_slice(&out), slice_str(rows[i].want));
	}
	buf_free(&out);
}

/* A log that says something is taken for what it is, and read alike. */
static void found_out(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char name[100];

		if (!*rows[i].want)
			continue;
		name_of(i, name);
		buf_clear(&out);
		test_numbers_equal(
			name, read_all(LOG_FORMAT_AUTO, slice_str(rows[i].in), &out), rows[i].format);
		test_slices_equal(name, buf_slice(&out), slice_str(rows[i].want));
	}
	buf_free(&out);
}

/* However the log is cut, nobody is spoken of who is not in it whole, and of
 * nobody another kind of thing is said. */
static void every_prefix(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = slice_str(rows[i].in), want = slice_str(rows[i].want), got;
		char name[100];

		/* Cut before the quoted form Exim's print of such an address cannot be told from another. */
		if (strcmp(rows[i].name, "another address in the local part") == 0)
			continue;
		name_of(i, name);
		for (size_t n = 0; n < in.len; n++) {
			buf_clear(&out);
			read_all(rows[i].format, slice_sub(in, 0, n), &out);
			for (got = buf_slice(&out); got.len;) {
				size_t bar = slice_chr(got, '|', 0), end = slice_chr(got, '|', bar + 1), lf;
				/* That it expired PowerMTA says last. */
				size_t from = rows[i].format == LOG_FORMAT_POWERMTA ? bar : 0;

				if (got.p[0] != '.' &&
					slice_find(want, slice_sub(got, from, end + 1), 0) == SLICE_NPOS)
					fail_msg("%s, cut at %zu: %.*s", name, n, SLICE_FMT(got));
				lf = slice_chr(got, '\n', 0);
				got = slice_from(got, lf + 1);
			}
		}
	}
	buf_free(&out);
}

static void delays(void **state)
{
	static const struct {
		slice in;
		double want; /* < 0: none */
	} all[] = {
		{SLICE("0.02"), 0.02},
		{SLICE("0.179"), 0.179},
		{SLICE("00:01:20"), 80},
		{SLICE("2+01:00:00"), 176400},
		{SLICE("1h1m1s"), 3661},
		{SLICE("0s"), 0},
		{SLICE("4d"), 345600},
		{SLICE(""), -1},
		{SLICE("x"), -1},
		{SLICE("1..2"), -1},
		{SLICE("-1"), -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		double got = -1;

		log_fact_seconds(all[i].in, &got);
		if (got != all[i].want)
			fail_msg("%.*s: %g", SLICE_FMT(all[i].in), got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(found_out),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(delays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
