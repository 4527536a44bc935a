package shout

const mark = "?"
