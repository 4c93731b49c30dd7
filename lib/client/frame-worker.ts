/** The file that the threads of a download run. */
import { serveJobs } from '../image/worker-serve.ts';
import { FRAME_JOBS } from './frame-jobs.ts';

serveJobs(FRAME_JOBS);
