/**
 * The permission that S3 asks for each call, in the words of its policies.
 *
 * Rules: every call of this room is in the table, so that an error can name the permission, and a test can hold the policies in
 * `repo-layout/aws/` against it.
 */
const PERMISSIONS: Readonly<Record<string, string>> = {
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  PutObject: 's3:PutObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  ListParts: 's3:ListMultipartUploadParts',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  ListObjectsV2: 's3:ListBucket',
  DeleteObject: 's3:DeleteObject',
};

/** @param call S3's name of it: `HeadObject` */
export function permissionFor(call: string): string | undefined {
  return PERMISSIONS[call];
}
