import { testRacesOn } from './judged.ts';

await testRacesOn('versitygw');
