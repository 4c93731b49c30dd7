/** The file that every worker thread runs. */
import { JOBS } from './worker-jobs.ts';
import { serveJobs } from './worker-serve.ts';

serveJobs(JOBS);
