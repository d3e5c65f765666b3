#!/usr/bin/env python3
"""Manual pages: whole, without a warning of groff (or mandoc), with every option and setting; the completion knows the same.

manpages.py COMPLETION PROGRAM.. -- PAGE..   exit 77: neither groff nor mandoc is here, all else is well
"""
import re
import shutil
import subprocess
import sys


def output(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, **kw)


def lint(page):
    """What the formatters complain of; None: there is no formatter."""
    said, has_any = '', False
    if shutil.which('groff'):
        has_any = True
        r = output('groff', '-man', '-Tutf8', '-ww', '-z', page)
        said += r.stderr
    if shutil.which('mandoc'):
        has_any = True
        r = output('mandoc', '-Tlint', '-Wwarning', page)
        said += ''.join(line + '\n' for line in r.stdout.splitlines() if 'missing date' not in line)
    return said if has_any else None


def words_of(program):
    """Options and settings that the program knows."""
    text = output(program, '--help').stdout
    commands = re.findall(r'^  ([a-z]{2,})  ', text, re.M) if program.endswith('/codecast') else []
    words = set(re.findall(r'^  ([A-Z][A-Z0-9_]{3,}) ', text, re.M))
    for c in commands:
        words |= {c} | set(re.findall(r'^  (?:-., |    )(--[a-z-]+)', output(program, c, '--help').stdout, re.M))
    return words


def complete(completion, *words):
    """What bash offers for the last of words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _codecast; printf "%s\\n" "${COMPREPLY[@]}"'
    return output('bash', '-c', script, '-', completion, *words).stdout.split()


def check_completion(completion, codecast):
    bad = []
    for words, want in ((['pu'], ['publish']), (['w'], ['watch']), (['publish', 't', '--cou'], ['--count']),
                        (['subscribe', 't', '--format', 'j'], ['json']), (['bench', '--rec'], ['--receiver'])):
        got = complete(completion, codecast, *words)
        if got != want:
            bad.append(f'completion of {words} is {got}, not {want}')
    if set(complete(completion, codecast, '')) != {'publish', 'subscribe', 'peers', 'topics', 'health', 'watch', 'bench', '--help', '--version'}:
        bad.append(f'completion of nothing: {complete(completion, codecast, "")}')
    return bad


def main():
    completion, at = sys.argv[1], sys.argv.index('--')
    programs, pages = sys.argv[2:at], sys.argv[at + 1:]
    bad, is_linted = [], True
    for page in pages:
        text = open(page, encoding='utf-8').read()
        said = lint(page)
        is_linted &= said is not None
        if said:
            bad.append(said)
        if re.search(r'^@|@$', text, re.M):
            bad.append(f'{page}: a placeholder is left')
        program = next(p for p in programs if p.endswith('/' + page.rpartition('/')[2][:-2]))
        plain = text.replace('\\-', '-')
        bad += [f'{page}: nothing of {w}' for w in sorted(words_of(program)) if w not in plain]
    bad += check_completion(completion, next(p for p in programs if p.endswith('/codecast')))
    print('\n'.join(bad) or f'{len(pages)} pages are well')
    return 1 if bad else 0 if is_linted else 77


sys.exit(main())
