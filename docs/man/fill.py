#!/usr/bin/env python3
"""Fills a manual page with what the program itself says: fill.py TEMPLATE OUT VERSION PROGRAM

A line of the template that stands alone is replaced:
  @env@              the settings of PROGRAM --help, those before the line that begins with "With PROXY_PORT"
  @env inside@       those behind it
  @options COMMAND@  the first list of options of PROGRAM COMMAND --help
  @options@          the second one, which all commands share
"""
import re
import subprocess
import sys


def troff(text):
    text = text.replace('\\', '\\e').replace('-', '\\-').replace("'", '\\(aq').replace('^', '\\(ha').replace('~', '\\(ti')
    return '\\&' + text if text[:1] in '.\'' else text


def sentence(text):
    return troff(text[:1].upper() + text[1:]) + '.'


def help_of(program, *command):
    return subprocess.run([program, *command, '--help'], capture_output=True, text=True, check=True).stdout


def settings(text, is_inside):
    before, _, inside = text.partition('\nWith PROXY_PORT')
    for line in (inside if is_inside else before).splitlines():
        m = re.match(r'  ([A-Za-z][A-Za-z0-9_]+) {2,}(\S.*)$', line)
        if m and m[1] not in ('run', 'check'):
            yield f'.TP\n.B {troff(m[1])}\n{sentence(m[2])}'


def options(text, which):
    blocks = [b for b in text.split('\n\n') if re.match(r'  (-.,|   ) --', b)]
    for line in blocks[which].splitlines():
        m = re.match(r'  (?:(-.), |    )(--[a-z-]+)(?: ([A-Z]+))?  +(.*)$', line)
        left = (f'\\fB{troff(m[1])}\\fR, ' if m[1] else '') + f'\\fB{troff(m[2])}\\fR' + (f' \\fI{m[3]}\\fR' if m[3] else '')
        yield f'.TP\n{left}\n{sentence(m[4])}'


def fill(line, program):
    m = re.fullmatch(r'@(env|options)(?: (\w+))?@', line)
    if not m:
        return line
    if m[1] == 'env':
        got = list(settings(help_of(program), m[2] == 'inside'))
    else:
        got = list(options(help_of(program, m[2] or 'publish'), 0 if m[2] else -1))
    if not got:
        sys.exit(f'{line}: {program} --help says nothing of it')
    return '\n'.join(got)


def main():
    template, out, version, program = sys.argv[1:]
    lines = open(template, encoding='utf-8').read().replace('@version@', version).splitlines()
    with open(out, 'w', encoding='utf-8') as f:
        f.write('\n'.join(fill(line, program) for line in lines) + '\n')


main()
