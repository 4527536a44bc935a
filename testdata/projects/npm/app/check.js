if (require('lib')() !== 'lib') process.exit(1);
require('fs').writeFileSync('checked', 'yes\n');
