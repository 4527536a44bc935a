const { shout } = require("./lib/shout");
const words = require("./words.json");

console.log(shout(words.greeting));
