// Makes the replica set, of one member, and the service's own users: one that writes, one that only reads. Run again, it
// changes nothing but their passwords.
const { MONGODB_HOST, MONGODB_ROOT_PASSWORD, MONGODB_PASSWORD, MONGODB_READER_PASSWORD } = process.env;
const NOT_YET_INITIALIZED = 94;

// Not through the replica set: there is none yet.
const admin = connect(`mongodb://root:${encodeURIComponent(MONGODB_ROOT_PASSWORD)}@${MONGODB_HOST}/admin?directConnection=true`);

function initiated() {
  try {
    return admin.adminCommand({ replSetGetStatus: 1 }).ok === 1;
  } catch (error) {
    if (error.code !== NOT_YET_INITIALIZED) throw error;
    return false;
  }
}

if (!initiated()) {
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: MONGODB_HOST }] } });
}

const deadline = Date.now() + 60000;
while (!admin.hello().isWritablePrimary) {
  if (Date.now() > deadline) throw new Error(`${MONGODB_HOST} did not become the primary within a minute`);
  sleep(200);
}

const home = admin.getSiblingDB("datacosmos");

function ensureUser(name, pwd, ...roles) {
  const user = { pwd, roles: roles.map((role) => ({ role, db: "datacosmos" })) };
  if (home.getUser(name)) home.updateUser(name, user);
  else home.createUser({ user: name, ...user });
}

ensureUser("datacosmos", MONGODB_PASSWORD, "readWrite", "dbAdmin");
ensureUser("reader", MONGODB_READER_PASSWORD, "read");
