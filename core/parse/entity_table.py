#!/usr/bin/env python3
"""Prints entity_table.def: the named character references of the WHATWG HTML
standard, from Python's own copy of that list (html.entities.html5)."""

from html.entities import html5

print("""/* The named character references of the WHATWG HTML standard: name without
 * '&', and its text in UTF-8; sorted by bytes. Made by entity_table.py, do not
 * edit: python3 core/parse/entity_table.py > core/parse/entity_table.def */""")
for name in sorted(html5):
    text = "".join("\\x%02x" % b for b in html5[name].encode())
    print('E("%s", "%s")' % (name, text))
