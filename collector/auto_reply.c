#include "collector/auto_reply.h"

#include <string.h>

bool auto_reply_daemon(slice from)
{
	static const slice names[] = {SLICE("mailer-daemon"), SLICE("mailer_daemon"), SLICE("mailerdaemon"),
		SLICE("postmaster"), SLICE("post_master"), SLICE("mdaemon"), SLICE("mail-daemon"),
		SLICE("maildaemon"), SLICE("double-bounce"), SLICE("mail.daemon"), SLICE("mail delivery"),
		SLICE("mail deliver system"), SLICE("mail-delivery")};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_ifind(from, names[i], 0) != SLICE_NPOS)
			return true;
	return false;
}

static bool any_of(slice s, const char *const *words)
{
	for (; *words; words++)
		if (slice_ifind(s, slice_str(*words), 0) != SLICE_NPOS)
			return true;
	return false;
}

static bool starts_with(slice s, const char *const *words)
{
	for (; *words; words++)
		if (slice_istarts(s, slice_str(*words)))
			return true;
	return false;
}

enum auto_reply auto_reply_of(struct arena *a, const struct bounce_parts *m, slice from)
{
	static const char *const challenges[] = {"verify your email", "please verify", "confirm your message",
		"verification required", "challenge", "sender verification", "boxbe", "spamarrest",
		"message awaits", "please confirm", "action required to deliver", "mail protected by", NULL};
	static const char *const subjects[] = {"auto:", "auto-reply", "autoreply", "auto reply",
		"automatic reply", "automatische antwort", "autoantwort", "automatyczna odpowied",
		"automatisch antwoord", "r\303\251ponse automatique", "respuesta autom", "resposta autom",
		"risposta automatica", "out of office", "out of the office", "out-of-office", "abwesenheit",
		"vacation", "on vacation", "on holiday", "absence", "away from", "autosvar", "avtosvar",
		"afwezig", "fuori ufficio", NULL};
	static const char *const headers[] = {"X-Autoreply", "X-Autorespond", "X-Autoresponder",
		"X-Auto-Reply", "X-Autoreply-From", "X-Vacation", "X-Mail-Autoreply", NULL};
	static const char *const precedence[] = {"auto_reply", "auto-reply", "autoreply", NULL};
	slice subject, v;
	bool automatic = false;

	bounce_parts_field(a, m->header, SLICE("Subject"), &subject);
	subject = bounce_parts_words(a, subject);
	if (bounce_parts_field(a, m->header, SLICE("Auto-Submitted"), &v) && slice_istarts(v, SLICE("auto-")))
		automatic = true;
	for (size_t i = 0; !automatic && headers[i]; i++)
		automatic = bounce_parts_field(a, m->header, slice_str(headers[i]), &v) &&
			    !slice_ieq(v, SLICE("no"));
	if (!automatic && bounce_parts_field(a, m->header, SLICE("Precedence"), &v))
		automatic = any_of(v, precedence);
	/* Exchange says so of its own vacation notices; lists and senders say so of mail that wants none. */
	if (!automatic &&
		bounce_parts_field(a, m->header, SLICE("X-MS-Exchange-Generated-Message-Source"), &v))
		automatic = slice_ifind(v, SLICE("Mailbox Rules Agent"), 0) != SLICE_NPOS ||
			    slice_ifind(v, SLICE("OOF"), 0) != SLICE_NPOS;
	if (slice_istarts(subject, SLICE("Re:")))
		v = slice_trim(slice_from(subject, 3));
	else
		v = subject;
	if (!automatic && starts_with(v, subjects) && !auto_reply_daemon(from))
		automatic = true;
	if (automatic && any_of(subject, challenges))
		return AUTO_REPLY_CHALLENGE;
	return automatic ? AUTO_REPLY_YES : AUTO_REPLY_NO;
}
