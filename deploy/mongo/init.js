// Makes the replica set, of one member, and its users: root, and the service's own, one that writes and one that only
// reads. Run again, it does what is not done yet, and changes nothing else but the service's passwords.
const { MONGODB_MEMBER, MONGODB_ROOT_PASSWORD, MONGODB_PASSWORD, MONGODB_READER_PASSWORD, DATACOSMOS_OPLOG_MAX_BYTES } = process.env;
const UNAUTHORIZED = 13;
const AUTHENTICATION_FAILED = 18;
const NOT_YET_INITIALIZED = 94;
const LEAST_OPLOG = 990; // MiB, which MongoDB asks for
// Not through the replica set: at first there is none.
const HERE = "127.0.0.1:27017/admin?directConnection=true";

function asRoot() {
  return connect(`mongodb://root:${encodeURIComponent(MONGODB_ROOT_PASSWORD)}@${HERE}`);
}

// Until there is a user, MongoDB lets whoever comes from 127.0.0.1 make one.
function asRootOrFirst() {
  try {
    const admin = asRoot(); // not returned at once: mongosh would wait for it, and let it fail, outside of the try
    return admin;
  } catch (error) {
    if (error.code !== AUTHENTICATION_FAILED) throw error;
    return connect(`mongodb://${HERE}`);
  }
}

function initiated(admin) {
  try {
    return admin.adminCommand({ replSetGetStatus: 1 }).ok === 1;
  } catch (error) {
    if (error.code === UNAUTHORIZED) throw new Error("MongoDB's volume was made with another MONGODB_ROOT_PASSWORD than that of .env");
    if (error.code !== NOT_YET_INITIALIZED) throw error;
    return false;
  }
}

function waitForPrimary(admin) {
  const deadline = Date.now() + 60000;
  while (!admin.hello().isWritablePrimary) {
    if (Date.now() > deadline) throw new Error(`${MONGODB_MEMBER} did not become the primary within a minute`);
    sleep(200);
  }
}

function ensureUser(home, name, pwd, ...roles) {
  const user = { pwd, roles };
  if (home.getUser(name)) home.updateUser(name, user);
  else home.createUser({ user: name, ...user });
}

// Like 2GiB, 2GB, or bytes.
function mebibytes(size) {
  const [, number, unit = ""] = /^([0-9.]+) ?([KMGT]i?)?B?$/i.exec(size) || [];
  if (!number) throw new Error(`DATACOSMOS_OPLOG_MAX_BYTES: ${size} is no size like 2GiB`);
  const power = unit ? " KMGT".indexOf(unit[0].toUpperCase()) : 0;
  const found = (Number(number) * (unit.length > 1 ? 1024 : 1000) ** power) / 2 ** 20;
  if (found < LEAST_OPLOG) throw new Error(`DATACOSMOS_OPLOG_MAX_BYTES: ${size} is less than ${LEAST_OPLOG}MiB, the least that MongoDB takes`);
  return found;
}

const oplog = mebibytes(DATACOSMOS_OPLOG_MAX_BYTES);
let admin = asRootOrFirst();
if (!initiated(admin)) {
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: MONGODB_MEMBER }] } });
}
waitForPrimary(admin);
const known = admin.runCommand({ connectionStatus: 1 }).authInfo.authenticatedUsers.length > 0;
if (!known) {
  admin.createUser({ user: "root", pwd: MONGODB_ROOT_PASSWORD, roles: ["root"] });
  admin = asRoot();
}

admin.adminCommand({ replSetResizeOplog: 1, size: Double(oplog) });

const home = admin.getSiblingDB("datacosmos");
// It sees from serverStatus how far back the oplog reaches, and so the changes.
const monitor = { role: "clusterMonitor", db: "admin" };
ensureUser(home, "datacosmos", MONGODB_PASSWORD, "readWrite", "dbAdmin", monitor);
ensureUser(home, "reader", MONGODB_READER_PASSWORD, "read");
