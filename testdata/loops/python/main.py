import package.words

try:
    import optional
except ImportError:
    optional = None

with open("data.txt") as f:
    print(package.words.GREETING, f.read(), optional)
