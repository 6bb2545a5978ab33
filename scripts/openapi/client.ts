// What a client does with the types of the documents. Each line fails to compile where a document says less than is so.

import type { components as Admin, operations, paths as AdminPaths } from "./admin.js";
import type { components as Auth, paths as AuthPaths } from "./auth.js";
import type { paths as JwksPaths } from "./jwks.js";

type User = Admin["schemas"]["User"];
type Answer<Operation> = Operation extends { responses: { 200: { content: { "application/json": infer Body } } } } ? Body : never;

// Members that are always there are not optional, and what may be null says so.
export const shown = (user: User): string => user.name ?? user.email.toLowerCase();
export const until = (user: User): string | null => user.ban_expires_at;
export const plan = (user: User): unknown => user.metadata["plan"];

// A choice is one of its words.
const query: operations["list_users"]["parameters"]["query"] = { sort_by: "email", sort_order: "asc", total: "none", role: ["editor"] };
// @ts-expect-error: no such order
const wrong: operations["list_users"]["parameters"]["query"] = { sort_by: "password_hash" };
export const queries = [query, wrong];

export const next = (page: Answer<AdminPaths["/users"]["get"]>): string | null => page.users.length > 0 ? page.next_cursor : null;
export const kind = (page: Answer<AdminPaths["/events"]["get"]>): string[] => page.events.filter((event) => event.type === "user_deleted").map((event) => event.id);
export const token = (answer: Answer<AuthPaths["/login"]["post"]>): string => `${answer.user.session_id} ${answer.tokens.access_token}`;
export const subject = (answer: Answer<AuthPaths["/introspect"]["post"]>): string | null => answer.active ? answer.sub : null;
export const kids = (answer: Answer<JwksPaths["/.well-known/jwks.json"]["get"]>): string[] => answer.keys.map((key) => key.kid);
export const faults = (refusal: Auth["schemas"]["Error"]): string[] => refusal.fields?.map((fault) => fault.field) ?? [refusal.error];

// A patch may leave out anything, and clear what can be cleared.
export const patch: Admin["schemas"]["UpdateUser"] = { name: null, metadata: { plan: "team", trial: null } };
