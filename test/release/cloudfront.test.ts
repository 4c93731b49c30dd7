/** `repo-layout/hosting/cloudfront.json`: what it says about caches, and its function at work, as CloudFront would run it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';

interface Behaviour {
  readonly AllowedMethods: readonly string[];
  readonly CachePolicyId: { readonly Ref: string };
  readonly Compress: boolean;
  readonly FunctionAssociations: readonly { readonly EventType: string; readonly FunctionARN: object }[];
  readonly ResponseHeadersPolicyId: { readonly Ref: string };
}

interface CachePolicy {
  readonly MinTTL: number;
  readonly MaxTTL: number;
  readonly ParametersInCacheKeyAndForwardedToOrigin: Readonly<Record<string, unknown>>;
}

interface Template {
  readonly Resources: {
    readonly Immutable: { readonly Properties: { readonly CachePolicyConfig: CachePolicy } };
    readonly Short: { readonly Properties: { readonly CachePolicyConfig: CachePolicy } };
    readonly Missing: {
      readonly Properties: {
        readonly ResponseHeadersPolicyConfig: { readonly CustomHeadersConfig: { readonly Items: readonly object[] } };
      };
    };
    readonly StoreNames: { readonly Properties: { readonly FunctionCode: { readonly 'Fn::Join': readonly [string, readonly string[]] } } };
    readonly Distribution: {
      readonly Properties: {
        readonly DistributionConfig: {
          readonly DefaultCacheBehavior: Behaviour;
          readonly CacheBehaviors: readonly (Behaviour & { readonly PathPattern: string })[];
          readonly CustomErrorResponses: readonly { readonly ErrorCode: number; readonly ErrorCachingMinTTL: number }[];
        };
      };
    };
  };
}

// Proof: the tests below fail where the template has another shape; CloudFormation's own schema is asked in test/interop.
const { Resources } = JSON.parse(readFileSync(new URL('../../repo-layout/hosting/cloudfront.json', import.meta.url), 'utf8')) as Template;
const distribution = Resources.Distribution.Properties.DistributionConfig;

interface ViewerRequest {
  readonly uri: string;
}

interface ViewerResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, { readonly value: string }>>;
}

/** As CloudFront calls it, with nothing of Node's within reach. */
function atTheEdge(uri: string): ViewerRequest | ViewerResponse {
  const [separator, lines] = Resources.StoreNames.Properties.FunctionCode['Fn::Join'];
  const event = {
    version: '1.0',
    context: { eventType: 'viewer-request' },
    viewer: { ip: '192.0.2.1' },
    request: { method: 'GET', uri, querystring: { seed: { value: '7' } }, headers: {}, cookies: {} },
  };
  const answer: unknown = runInNewContext(`${lines.join(separator)}\nJSON.stringify(handler(${JSON.stringify(event)}))`, {});
  return JSON.parse(String(answer));
}

const DIGEST = 'ab'.repeat(32);

for (const uri of [
  '/metal/x86_64/timestamp.json',
  '/metal/x86_64/1.root.json',
  '/metal/x86_64/12.team-a.json',
  `/targets/${DIGEST}.manifest.json`,
  `/targets/dir/${DIGEST}.os-metal-x86_64-1.2.0-9c41e7d0-root.ext4.zst.frames`,
]) {
  test(`the function passes ${uri.replace(DIGEST, 'SHA256')} on as it is`, () => {
    assert.deepEqual((atTheEdge(uri) as ViewerRequest).uri, uri);
  });
}

for (const plus of ['+', '%2B', '%2b']) {
  test(`the function asks S3 for a plus sign when the host writes ${plus}`, () => {
    const { uri } = atTheEdge(`/targets/${DIGEST}.os-1.2.0${plus}b.1-root.ext4.zst`) as ViewerRequest;
    assert.equal(decodeURIComponent(uri), `/targets/${DIGEST}.os-1.2.0+b.1-root.ext4.zst`);
    assert.ok(!uri.includes('+'));
  });
}

for (const uri of [
  '/',
  '/metal/x86_64/',
  '/metal/x86_64/index.html',
  '/metal/x86_64/root.json',
  '/targets/',
  '/targets/.hidden',
  '/.gantry/lock.sqlite',
  '/gantry-probe/1',
  '/metal/x86_64/../../other/1.root.json',
  '/metal/%2e%2e/timestamp.json',
  '/targets/a%2f..%2f..%2fsecret',
]) {
  test(`the function answers 404, which nobody remembers, for ${uri}`, () => {
    const { statusCode, headers } = atTheEdge(uri) as ViewerResponse;
    assert.deepEqual([statusCode, headers['cache-control']?.value], [404, 'no-store']);
  });
}

test('hosting/cloudfront.json keeps query strings, headers and cookies out of every cache key, and encodes nothing', () => {
  for (const policy of [Resources.Immutable, Resources.Short]) {
    assert.deepEqual(policy.Properties.CachePolicyConfig.ParametersInCacheKeyAndForwardedToOrigin, {
      QueryStringsConfig: { QueryStringBehavior: 'none' },
      HeadersConfig: { HeaderBehavior: 'none' },
      CookiesConfig: { CookieBehavior: 'none' },
      EnableAcceptEncodingGzip: false,
      EnableAcceptEncodingBrotli: false,
    });
  }
});

test('hosting/cloudfront.json remembers timestamp.json for a minute at most, and errors not at all', () => {
  const { MinTTL, MaxTTL } = Resources.Short.Properties.CachePolicyConfig;
  assert.deepEqual([MinTTL, MaxTTL], [0, 60]);
  assert.deepEqual(
    distribution.CacheBehaviors.map(({ PathPattern, CachePolicyId }) => [PathPattern, CachePolicyId.Ref]),
    [['*/timestamp.json', 'Short']],
  );
  assert.equal(distribution.DefaultCacheBehavior.CachePolicyId.Ref, 'Immutable');
  assert.deepEqual(
    distribution.CustomErrorResponses.map(({ ErrorCode, ErrorCachingMinTTL }) => [ErrorCode, ErrorCachingMinTTL]),
    [403, 404, 500, 502, 503, 504].map((status) => [status, 0]),
  );
  // S3 sends no Cache-Control with an error, and what comes without one may be kept by whoever is on the way.
  assert.deepEqual(Resources.Missing.Properties.ResponseHeadersPolicyConfig.CustomHeadersConfig.Items, [
    { Header: 'Cache-Control', Value: 'no-store', Override: false },
  ]);
});

test('hosting/cloudfront.json treats every request alike: read only, uncompressed, through the function', () => {
  for (const behaviour of [distribution.DefaultCacheBehavior, ...distribution.CacheBehaviors]) {
    assert.deepEqual(behaviour.AllowedMethods, ['GET', 'HEAD']);
    assert.equal(behaviour.Compress, false);
    assert.deepEqual(behaviour.FunctionAssociations, [
      { EventType: 'viewer-request', FunctionARN: { 'Fn::GetAtt': ['StoreNames', 'FunctionARN'] } },
    ]);
    assert.equal(behaviour.ResponseHeadersPolicyId.Ref, 'Missing');
  }
});
