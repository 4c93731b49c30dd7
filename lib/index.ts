/**
 * The publisher's side as a library: what the command line calls.
 *
 * @module gantry-tuf
 */
export { GantryError, isGantryError, type ErrorCode, type ErrorDetails, type LintFinding, type MissingSignatures } from './errors.ts';
export { generatePrivateKey, type KeyType } from './keys/generate.ts';
export { openKeySigner, writeKeyFile, type KeyFile } from './keys/key-file.ts';
export { signerFromKeyObject, verifyingSigner } from './keys/key-signer.ts';
export type { Signer } from './keys/signer.ts';
export { prepareEdit, removalOf, saveEdit, type EditOptions, type PreparedEdit } from './publish/edit.ts';
export { examineRepository, type DoctorOptions, type DoctorReport } from './publish/doctor/doctor.ts';
export { publishRepository, planRepository, type Publication } from './publish/publish.ts';
export { addRelease, type AddedRelease } from './publish/release.ts';
export { refreshRepository } from './publish/refresh.ts';
export { signDrafts, type SigningReport } from './publish/sign.ts';
export { readStatus, type WorkspaceStatus } from './publish/status.ts';
export type { ManifestEdit, NewUpdate } from './release/edit.ts';
export { lintRelease, type LintOptions, type Offer } from './release/lint.ts';
export { findMigrations, type MigrationPath } from './release/migrations.ts';
export { rolloutStatus, type RolloutState, type RolloutStatus } from './release/rollout-status.ts';
export { parseWavePolicy, policyWaves, type WavePolicy } from './release/wave-policy.ts';
export { smoothWaves, type Waves } from './release/waves.ts';
export { createDirectoryStore } from './store/directory.ts';
export type { ByteSource, Expect, ObjectInfo, Store, StoredObject, StorePath, StoreVersion, WriteOptions } from './store/store.ts';
export { startStaticServer, type StaticServer, type StaticServerOptions } from './server/static-server.ts';
export { lintRepository, lintRole, type RepositoryFiles } from './tuf/lint.ts';
export { createWorkspace } from './workspace/create.ts';
export { openWorkspace, type Workspace } from './workspace/workspace.ts';
