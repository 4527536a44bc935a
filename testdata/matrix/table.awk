# A table of Markdown: a row for each kernel, page size, user and ptrace_scope.
NF < 8 { next }
{
	row = $2 "|" $3 "|" $4 "|" $5 "|" $6
	if (!(row in seen)) {
		seen[row] = 1
		rows[++n] = row
	}
	if ($8 == "ok") ok[row] = ok[row] " " $7 ($7 ~ /^tests:/ ? " (" $9 ")" : "")
	else if ($8 != "none") other[row] = other[row] "<br>**" $7 "** " $8 ": " $9
	else other[row] = other[row] "<br>" $7 ": not here"
}
END {
	print ""
	print "| kernel | machine, page | uid | ptrace_scope | passed | else |"
	print "|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++) {
		split(rows[i], p, "|")
		print "| " p[1] " | " p[2] ", " p[3] " | " p[4] " | " p[5] " |" ok[rows[i]] " | " substr(other[rows[i]], 5) " |"
	}
	print ""
}
