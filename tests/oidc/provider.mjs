// A certified OpenID provider for tests: one or more issuers in one process, each with accounts, keys and clients of its
// own. What tests change (accounts, keys, clients, who signs in) comes as JSON lines on standard input; each is answered
// by one line on standard output.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

class Memory {
  static storage = new Map();
  constructor(name) { this.name = name; }
  key(id) { return `${this.name}:${id}`; }
  get all() { return this.constructor.storage; }
  async upsert(id, payload) {
    this.all.set(this.key(id), payload);
    if (payload.uid) this.all.set(`uid:${payload.uid}`, this.key(id));
    if (payload.userCode) this.all.set(`code:${payload.userCode}`, this.key(id));
  }
  async find(id) { return this.all.get(this.key(id)); }
  async findByUid(uid) { return this.all.get(this.all.get(`uid:${uid}`)); }
  async findByUserCode(code) { return this.all.get(this.all.get(`code:${code}`)); }
  async destroy(id) { this.all.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, value] of this.all) if (value?.grantId === grantId) this.all.delete(key);
  }
  async consume(id) { this.all.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
}

const issuers = new Map();

function account(state, id) {
  const known = state.accounts[id];
  return known && { accountId: id, claims: async () => ({ sub: id, ...known }) };
}

function configuration(state) {
  return {
    adapter: state.adapter,
    clients: state.clients,
    jwks: { keys: state.keys },
    cookies: { keys: ['tests'] },
    // The library itself refuses to call addresses of this machine, where the tests' own servers are.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    claims: {
      openid: ['sub', 'sid'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'groups'],
    },
    conformIdTokenClaims: state.conform,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
    pkce: { required: () => true },
    findAccount: (_, id) => account(state, id),
    issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
    extraTokenClaims: (_, token) => (token.kind === 'ClientCredentials' ? state.machines[token.clientId] : undefined),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => { ctx.type = 'text'; ctx.body = JSON.stringify(out); },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.body?.grant_type === 'client_credentials' ? state.resource : undefined),
        getResourceServerInfo: (_, resource) => ({
          scope: 'api', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 3600, jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  };
}

async function interact(state, request, response) {
  const { prompt, params, session, grantId } = await state.provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const url = new URL(request.url, state.issuer);
    const login = url.searchParams.get('login') ?? state.login;
    if (!login) {
      response.setHeader('content-type', 'text/html');
      response.end('<!DOCTYPE html><html lang="en"><title>Company account</title><main><h1>Company account</h1>'
        + '<form method="get"><label for="login">Account</label><input id="login" name="login" autofocus>'
        + '<button>Continue</button></form></main></html>');
      return;
    }
    const known = account(state, login);
    const result = known ? { login: { accountId: login } } : { error: 'access_denied', error_description: 'unknown' };
    await state.provider.interactionFinished(request, response, result);
    return;
  }
  const grant = (grantId && await state.provider.Grant.find(grantId))
    ?? new state.provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  for (const resource of Object.keys(prompt.details.missingResourceScopes ?? {})) grant.addResourceScope(resource, 'api');
  const result = { consent: { grantId: await grant.save() } };
  await state.provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

function renew(state) {
  state.provider = new Provider(state.issuer, configuration(state));
  state.provider.on('server_error', (_, error) => process.stderr.write(`${error.stack}\n`));
  state.callback = state.provider.callback();
}

async function add(given) {
  const state = {
    accounts: {}, clients: [], machines: {}, keys: [], login: '', resource: '', conform: false, requests: 0, down: false, ...given,
  };
  state.adapter = class extends Memory { static storage = new Map(); };
  const server = createServer((request, response) => {
    const path = request.url.split('?')[0];
    state.requests += path === '/jwks' ? 1 : 0;
    if (state.down) { response.statusCode = 503; response.end(); return; }
    if (path.startsWith('/interaction/')) {
      interact(state, request, response).catch((error) => { response.statusCode = 400; response.end(String(error.stack)); });
    } else state.callback(request, response);
  });
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
  state.issuer = `http://127.0.0.1:${server.address().port}`;
  renew(state);
  issuers.set(state.issuer, state);
  return { issuer: state.issuer };
}

async function obey({ command, issuer, ...given }) {
  if (command === 'add') return add(given);
  const state = issuers.get(issuer);
  if (command === 'requests') return { requests: state.requests };
  if (command === 'forget') { state.adapter.storage.clear(); return {}; }
  Object.assign(state, given);
  if ('keys' in given || 'clients' in given) renew(state);
  return {};
}

process.removeAllListeners('warning');
console.info = console.warn = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try { answer = await obey(JSON.parse(line)); } catch (error) { answer = { error: String(error.stack) }; }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
