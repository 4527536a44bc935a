module.exports = 1000;
