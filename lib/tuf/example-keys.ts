/** The ids of the keys in `keys-example/`: their private halves are public, so nothing but the demo may trust them. */
export const exampleKeyIds: ReadonlySet<string> = new Set([
  '10d1d38bdcdcf278179d5e1e576bd268cdccbd2276b8d4e6cce21be9e84949cc', // root-a
  '0ac595bcfa8a5bdd6863ffc660154063660caeaa7db5c8ca64c47cb45cc7e290', // root-b
  '75d8c95d36b60582e7d1afea082b8b30f0b87d9109941c3906290ea43910ab34', // root-c
  '1f27c281eb63de4256b0ba6cc9bd69c53a9ac4230eb76f1afa165051c5ce20ce', // targets
  '28a60a574c2bc18d74e81e5cf2159a750b588939afb9af7fe37c0cba118c8799', // online
]);
