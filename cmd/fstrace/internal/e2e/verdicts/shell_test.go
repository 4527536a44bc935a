package verdicts

import (
	"slices"
	"strings"
)

// shellLines are what the random shell programs are made of; {p} and {q} stand for paths.
// What a line prints must be the same in each run from the same tree.
var shellLines = []string{
	`test -e {p} && echo yes || echo no`,
	`[ -f {p} ] && echo file; [ -d {p} ] && echo dir; [ -L {p} ] && echo link`,
	`[ -r {p} ] && echo r; [ -w {p} ] && echo w; [ -x {p} ] && echo x`,
	`[ -s {p} ] && echo some || echo none`,
	`mkdir {p} 2>/dev/null && echo got || echo busy`,
	`mkdir -p {p}/{q} && echo made`,
	`set -C; (echo x >{p}) 2>/dev/null && echo got || echo busy; set +C`,
	`echo line >>{p}`,
	`echo line >{p} && echo written`,
	`cat {p}`,
	`cat {p} {q} >c`,
	`wc -l <{p}`,
	`head -c 3 {p}`,
	`mv {p} {q}; echo $?`,
	`mv -T {p} {q}; echo $?`,
	`mv -n {p} {q}; echo $?`,
	`cp {p} {q}; echo $?`,
	`cp -r {p} {q}; echo $?`,
	`ln -s {p} {q}; echo $?`,
	`ln -sfn {p} {q}; echo $?`,
	`ln {p} {q}; echo $?`,
	`rm {p}; echo $?`,
	`rm -f {p}; echo $?`,
	`rm -r {p}; echo $?`,
	`rm -rf {p}; mkdir {p}; ls {p}`,
	`rmdir {p}; echo $?`,
	`ls {p}`,
	`ls -R {p}`,
	`ls -F {p}`,
	`find {p} | sort`,
	`find {p} -type f | sort`,
	`grep -rs was {p} | sort`,
	`for f in {p}/*; do echo "$f"; done`,
	`echo */*`,
	`cd {p} && pwd -P | sed 's,.*/,,' && ls; cd - >/dev/null 2>&1`,
	`(cd {p} && cat a)`,
	`t=$(mktemp -p .) && cat {p} >$t; mv $t {q}; chmod 644 {q}`,
	`t=$(mktemp -d -p .) && cp {p} $t/x; cat $t/x; rm -r $t`,
	`chmod +x {p}; ls {p}`,
	`chmod 644 {p}; cat {p}`,
	`chmod 700 {p}; ls {p}`,
	`./{p}; echo $?`,
	`sh {p}; echo $?`,
	`. ./{p}`,
	`sed -i s/was/is/ {p}; echo $?`,
	`sort -o {q} {p}; echo $?`,
	`readlink {p}`,
	`cmp {p} {q}; echo $?`,
	`diff -r {p} {q}; echo $?`,
	`stat -c '%F %a' {p}`,
	`stat -L -c '%F' {p}`,
	`install -m 600 {p} {q}; echo $?`,
	`install -d {p}; echo $?`,
	`command -v ./{p} || echo none`,
	`tee {p} <{q}`,
	`exec 3>>{p}; echo three >&3; exec 3>&-`,
	`exec 3<>{p}; read x <&3; echo "$x"; echo over >&3; exec 3>&-`,
	`: >{p}; cat {p}`,
	`cat {p} >{q}; cat {q}`,
	`touch {p}; [ -e {p} ] && echo there`,
	`truncate -s 2 {p}; cat {p}`,
	`dd if={p} of={q} conv=notrunc bs=2 count=1 2>/dev/null; cat {q}`,
	`gzip -nc {p} | gzip -dc`,
	`unlink {p}; echo $?`,
	`link {p} {q}; echo $?`,
}

// toldShellLines print times or link counts.
var toldShellLines = []string{
	`[ {p} -nt {q} ] && echo newer || echo older`,
	`find . -newer {p} | sort`,
	`stat -c '%h %u' {p}`,
	`find {p} -links +1 -type f | sort`,
	`cp -p {p} {q}; echo $?`,
	`[ {p} -ef {q} ] && echo same || echo different`,
	`touch -r {p} {q}; echo $?`,
}

// shell draws the lines of a shell program.
func (d draw) shell(t tree, told bool) []string {
	lines := shellLines
	if told {
		lines = slices.Concat(lines, toldShellLines)
	}
	var script []string
	for range 1 + d.IntN(4) {
		script = append(script, strings.NewReplacer("{p}", d.path(t), "{q}", d.path(t)).Replace(pick(d, lines...)))
	}
	return script
}
