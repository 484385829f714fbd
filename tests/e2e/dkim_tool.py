"""Run by Debian's own Python, which has dkimpy (python3-dkim) and authres.

    dkim_tool.py verify RECORD      of each message on stdin (NUL between them): "pass" or "fail" for every
                                    DKIM-Signature, then "arc ..." if there is any; "--" behind each message
    dkim_tool.py sign KEY [arc]     the message on stdin with a signature (and an ARC set) of brand.test

RECORD: the public key as it would stand in DNS.
"""
import re
import sys

import dkim


def verify(message, record):
    def dns(name, timeout=5):
        return record

    for i in range(len(re.findall(rb"(?im)^dkim-signature:", message.split(b"\r\n\r\n", 1)[0]))):
        try:
            print("pass" if dkim.DKIM(message).verify(idx=i, dnsfunc=dns) else "fail")
        except dkim.DKIMException as e:
            print("fail", e)
    if re.search(rb"(?im)^arc-seal:", message):
        print("arc", dkim.arc_verify(message, dnsfunc=dns)[0].decode())
    print("--")


def sign(message, key, arc):
    message = dkim.sign(message, b"s1", b"brand.test", key, include_headers=[b"from", b"to", b"subject", b"message-id"]) + message
    if arc:
        message = b"Authentication-Results: brand.test; dkim=pass\r\n" + message
        message = b"".join(dkim.arc_sign(message, b"s1", b"brand.test", key, b"brand.test")) + message
    sys.stdout.buffer.write(message)


data = sys.stdin.buffer.read()
if sys.argv[1] == "verify":
    for one in data.split(b"\0"):
        verify(one, sys.argv[2].encode())
else:
    with open(sys.argv[2], "rb") as f:
        sign(data, f.read(), "arc" in sys.argv)
