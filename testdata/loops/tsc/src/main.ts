import { shout } from "./shout";

console.log(shout("hello"));
