import { join } from 'node:path';

const REPOSITORIES = join(import.meta.dirname, '..', '..', 'fixtures', 'repositories');

/** A frozen repository of another implementation, and what its README says is in it. */
export interface FixtureRepository {
  readonly name: string;
  /** Holds `metadata/` and `targets/`. */
  readonly directory: string;
  readonly versions: { readonly root: number; readonly targets: number; readonly snapshot: number; readonly timestamp: number };
  /** Published file under `targets/`, by target path. */
  readonly targetFiles: Readonly<Record<string, string>>;
}

export const FIXTURES: readonly FixtureRepository[] = [
  {
    name: 'python-tuf',
    directory: join(REPOSITORIES, 'python-tuf'),
    versions: { root: 2, targets: 1, snapshot: 1, timestamp: 1 },
    targetFiles: {
      'boot.img': 'dafb7c9b4369d65284e1c1690cb42e30834a7a3bdf91b8d292f7e410da48b697.boot.img',
      'docs/notes.txt': 'docs/42c7b4522ddee1fe926fb8a159450fb6d46ac9e827deafbe25b6e1ff5105cd5d.notes.txt',
      'root.img': 'a1f259d4365ed4320c377ce26f5c8c56dcdc9a89e7b641bfd8eabfbbeac86654.root.img',
    },
  },
  {
    name: 'tuftool',
    directory: join(REPOSITORIES, 'tuftool'),
    versions: { root: 1, targets: 3, snapshot: 4, timestamp: 5 },
    targetFiles: {
      'boot.img': 'eb58d7db367fa6e301345f458987ca138d2b676aed35e59508e044ab5df87e0b.boot.img',
      'root.img': 'ce8537f5ba57bf53b0996d287a8fe2cef3b7c618a91c3034336d7cabd896b3d9.root.img',
    },
  },
];
