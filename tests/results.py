"""ctest's JUnit file as lines "pass NAME", "fail NAME", "skip NAME"."""
import sys
import xml.etree.ElementTree as ET

for case in ET.parse(sys.argv[1]).getroot().iter("testcase"):
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        word = "skip"
    elif case.find("failure") is not None or case.get("status") != "run":
        word = "fail"
    else:
        word = "pass"
    print(word, case.get("name"))
