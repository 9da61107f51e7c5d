import { argv } from 'node:process'
import { replaceFile } from '../../src/config/config-file.js'

// Replaces a file again and again until it is killed; each text is whole where its last line is its first.
for (let n = 0; ; n++) {
  await replaceFile(argv[2]!, `# ${n}\n${'lanes: {}\n'.repeat(2_000)}# ${n}\n`, 2)
  if (n === 3) process.stdout.write('going\n')
}
