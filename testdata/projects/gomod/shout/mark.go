package shout

const mark = "!"
