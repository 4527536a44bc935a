module.exports = () => 'lib';
