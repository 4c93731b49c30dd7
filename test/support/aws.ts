/** What the AWS SDK takes from the environment, for a test: nothing of the person who runs it. */

/** No files of this machine, and no instance that gives credentials. */
const NOBODY: Readonly<Record<string, string>> = {
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
};

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export function awsEnvironment({ accessKeyId, secretAccessKey }: AwsCredentials): Readonly<Record<string, string>> {
  return { ...NOBODY, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

/** The SDK reads the environment at its first call, not when a client is made: one set of credentials at a time. */
export function useCredentials(credentials: AwsCredentials): void {
  useAwsEnvironment(awsEnvironment(credentials));
}

/** These variables of AWS's and no others, for the whole process. */
export function useAwsEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, NOBODY, variables);
}
