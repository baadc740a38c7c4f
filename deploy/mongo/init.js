// Makes the replica set, of one member, and the service's own user. Run again, it changes nothing but the password.
const { MONGODB_HOST, MONGODB_ROOT_PASSWORD, MONGODB_PASSWORD } = process.env;
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
const user = { pwd: MONGODB_PASSWORD, roles: [{ role: "readWrite", db: "datacosmos" }, { role: "dbAdmin", db: "datacosmos" }] };
if (home.getUser("datacosmos")) home.updateUser("datacosmos", user);
else home.createUser({ user: "datacosmos", ...user });
