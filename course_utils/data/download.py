def describe(spec):
    return "", False, ""
def fetch(spec):
    return None
