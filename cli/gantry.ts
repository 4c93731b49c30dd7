#!/usr/bin/env node
// Imports nothing, and has no top-level await: a Node that is too old must get as far as the message below.
const running = process.versions.node;
const [major = 0, minor = 0, patch = 0] = running.split('.').map(Number);
const isSupported = (major === 22 && (minor > 22 || (minor === 22 && patch >= 2))) || (major === 24 && minor >= 15) || major >= 26;

async function start(): Promise<void> {
  const { enableCompileCache } = await import('node:module');
  const { homedir } = await import('node:os');
  const { isAbsolute, join } = await import('node:path');
  // Node's default is the shared temporary directory; whoever plants compiled code there would run it where keys are used.
  // For the same reason a relative path counts for nothing, as the XDG specification says.
  const cacheHome = process.env['XDG_CACHE_HOME'];
  enableCompileCache(join(cacheHome === undefined || !isAbsolute(cacheHome) ? join(homedir(), '.cache') : cacheHome, 'gantry'));
  const { boundMemory } = await import('./memory.ts');
  boundMemory();
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
}

if (isSupported) {
  void start();
} else {
  console.error(
    'error: Cannot run gantry: this is Node ' +
      running +
      '; expected 22.22.2 or newer, 24.15 or newer, or 26 (hint: install a current Node from your system or https://nodejs.org)',
  );
  process.exitCode = 6;
}
