import { testRacesOn } from './judged.ts';

await testRacesOn('minio');
