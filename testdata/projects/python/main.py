"""Imports fifty modules of the standard library, a package beside this file and a module that is absent."""

import argparse, array, ast, base64, bisect, calendar, cmd, codecs, collections
import configparser, contextlib, copy, csv, dataclasses, datetime, decimal, difflib, dis, email.message
import enum, fnmatch, fractions, functools, getopt, getpass, gettext, glob, gzip, hashlib
import heapq, hmac, html.parser, http.client, importlib.metadata, inspect, io, ipaddress, json, linecache
import locale, logging, mimetypes, numbers, opcode, optparse, pathlib, pickle, pprint, queue
import random, shelve, socket, sys

import package.part

try:
    import absent_module
except ImportError as e:
    print(e, file=sys.stderr)

print(package.part.WORD)
sys.exit(5)
