"""One of everything, and for each operation a request about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cygnid.core import db, sealer
from cygnid.core.actors import SYSTEM
from cygnid.resources.auth import one_time
from cygnid.resources.instances import actions as instances
from cygnid.resources.instances.schemas import ProcessSpec, ReleaseSpec
from cygnid.resources.projects import queries as projects
from cygnid.resources.users.actions import create_user
from tests.make.api import Api
from tests.make.people import PASSWORD, give_password, make_user

RESET_LINK, CONFIRM_LINK = "kKx6Xh3v0k0q8bqkq4hJ0J8r3l1h9H9tq1m5c2b7a3E", "mB0m2Yt8s1f7Q5o9c3V6k4Zx1n8r2L0aP7h3j5W9d6E"

INVITATION = "Zt4m0Q1cTnJx7v2rW8yKp3sHd6uEa9fBg5oLi1kNq0M"
"""As in the examples."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """About what: a path below /v1, a query, a body."""

    path: str
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class World:
    """Ids of the first team's things."""

    team_id: str
    project_id: str
    upload_id: str
    pending_upload_id: str
    deployment_id: str
    variable_id: str
    token_id: str
    instance_id: str
    audit_id: str
    connection_id: str
    role_id: str
    grant_id: str
    member_user_id: str
    member_id: str
    invitation_id: str
    session_id: str

    def request(self, operation_id: str) -> Request:
        """KeyError: an operation that is not here yet; add it."""
        return self._requests()[operation_id]

    def known(self) -> set[str]:
        return set(self._requests())

    def _requests(self) -> dict[str, Request]:
        project, deployment, variable = self.project_id, self.deployment_id, self.variable_id
        one, team = f"/projects/{project}", f"/teams/{self.team_id}"
        return {
            "platform.index": Request(path="/"),
            "platform.health": Request(path="/health"),
            "platform.openapi": Request(path="/openapi.json"),
            "platform.rateLimit": Request(path="/rate-limit"),
            "platform.capabilities": Request(path="/capabilities"),
            "me.get": Request(path="/me"),
            "billing.plans": Request(path="/billing/plans"),
            "billing.quotas": Request(path="/billing/quotas", query={"teamId": self.team_id}),
            "tokens.list": Request(path="/tokens"),
            "tokens.create": Request(
                path="/tokens", json={"name": "ci", "kind": "team", "scopes": ["tokens:write"], "teamId": self.team_id}
            ),
            "tokens.report": Request(path="/tokens/report", json={"reports": [{"token": "x", "type": "cygni"}]}),
            "tokens.current": Request(path="/tokens/current"),
            "tokens.get": Request(path=f"/tokens/{self.token_id}"),
            "tokens.update": Request(path=f"/tokens/{self.token_id}", json={"name": "other"}),
            "tokens.delete": Request(path=f"/tokens/{self.token_id}"),
            "tokens.rotate": Request(path=f"/tokens/{self.token_id}/rotate", json={"overlapSeconds": 0}),
            "auth.methods": Request(path="/auth/methods"),
            "auth.register": Request(
                path="/auth/register",
                json={"email": "bo@example.com", "password": "four rather odd words", "name": "Bo"},
            ),
            "auth.login": Request(path="/auth/login", json={"email": "ada@example.com", "password": PASSWORD}),
            "auth.logout": Request(path="/auth/logout"),
            "auth.changePassword": Request(
                path="/auth/password",
                json={"currentPassword": PASSWORD, "newPassword": "five rather odd words here"},
            ),
            "auth.requestPasswordReset": Request(path="/auth/password-reset", json={"email": "ada@example.com"}),
            "auth.confirmPasswordReset": Request(
                path="/auth/password-reset/confirm",
                json={"resetToken": RESET_LINK, "newPassword": "five rather odd words here"},
            ),
            "auth.confirmEmail": Request(path="/auth/email/confirm", json={"confirmationToken": CONFIRM_LINK}),
            "auth.enrollTwoFactor": Request(path="/auth/two-factor/enroll", json={"currentPassword": PASSWORD}),
            "auth.confirmTwoFactor": Request(path="/auth/two-factor/confirm", json={"otp": "123456"}),
            "auth.disableTwoFactor": Request(
                path="/auth/two-factor/disable", json={"currentPassword": PASSWORD, "otp": "123456"}
            ),
            "auth.device": Request(path="/auth/device"),
            "auth.deviceToken": Request(path="/auth/device/token", json={"deviceCode": "x"}),
            "auth.approveDevice": Request(path="/auth/device/approve", json={"userCode": "BCDF-GHJK", "approve": True}),
            "auth.startOidc": Request(path="/auth/oidc/none/start", json={"redirectUri": "http://127.0.0.1:8765/"}),
            "auth.finishOidc": Request(path="/auth/oidc/none/finish", json={"code": "x", "state": "x"}),
            "me.update": Request(path="/me", json={"name": "Ada"}),
            "sessions.list": Request(path="/auth/sessions"),
            "sessions.deleteOthers": Request(path="/auth/sessions"),
            "sessions.get": Request(path=f"/auth/sessions/{self.session_id}"),
            "sessions.delete": Request(path=f"/auth/sessions/{self.session_id}"),
            "teams.list": Request(path="/teams"),
            "teams.create": Request(path="/teams", json={"name": "Another", "slug": "another"}),
            "teams.get": Request(path=team),
            "teams.update": Request(path=team, json={"name": "Other"}),
            "teams.delete": Request(path=team, query={"confirm": "Acme"}),
            "teams.restore": Request(path=f"{team}/restore"),
            "members.list": Request(path=f"{team}/members"),
            "members.get": Request(path=f"{team}/members/{self.member_id}"),
            "members.update": Request(path=f"{team}/members/{self.member_id}", json={"role": "helper"}),
            "members.delete": Request(path=f"{team}/members/{self.member_id}"),
            "invitations.list": Request(path=f"{team}/invitations"),
            "invitations.create": Request(
                path=f"{team}/invitations", json={"email": "kim@example.net", "role": "helper"}
            ),
            "invitations.get": Request(path=f"{team}/invitations/{self.invitation_id}"),
            "invitations.delete": Request(path=f"{team}/invitations/{self.invitation_id}"),
            "invitations.lookup": Request(path="/invitations/lookup", json={"invitationToken": INVITATION}),
            "invitations.accept": Request(path="/invitations/accept", json={"invitationToken": INVITATION}),
            "permissions.list": Request(path="/permissions"),
            "permissions.effective": Request(path="/permissions/effective", query={"teamId": self.team_id}),
            "permissions.check": Request(
                path="/permissions/check", json={"checks": [{"scope": "logs:read", "projectId": project}]}
            ),
            "roles.list": Request(path="/roles"),
            "roles.create": Request(
                path="/roles", json={"name": "other", "scopes": ["roles:write"], "teamId": self.team_id}
            ),
            "roles.get": Request(path=f"/roles/{self.role_id}"),
            "roles.update": Request(path=f"/roles/{self.role_id}", json={"description": "other"}),
            "roles.delete": Request(path=f"/roles/{self.role_id}"),
            "grants.list": Request(path="/grants", query={"teamId": self.team_id}),
            "grants.create": Request(
                path="/grants", json={"projectId": project, "userId": self.member_user_id, "role": self.role_id}
            ),
            "grants.get": Request(path=f"/grants/{self.grant_id}"),
            "grants.delete": Request(path=f"/grants/{self.grant_id}"),
            "projects.list": Request(path="/projects"),
            "projects.create": Request(path="/projects", json={"name": "another", "teamId": self.team_id}),
            "projects.get": Request(path=one),
            "projects.update": Request(path=one, json={"labels": {"a": "b"}}),
            "projects.delete": Request(path=one, query={"confirm": "shop"}),
            "projects.restore": Request(path=f"{one}/restore"),
            "projects.pause": Request(path=f"{one}/pause"),
            "projects.resume": Request(path=f"{one}/resume"),
            "projects.restart": Request(path=f"{one}/restart", json={}),
            "projects.rollback": Request(path=f"{one}/rollback", json={}),
            "environments.list": Request(path=f"{one}/environments"),
            "environments.create": Request(path=f"{one}/environments", json={"name": "other"}),
            "environments.get": Request(path=f"{one}/environments/staging"),
            "environments.update": Request(path=f"{one}/environments/staging", json={"branch": "develop"}),
            "gitConnections.list": Request(path="/git/connections", query={"teamId": self.team_id}),
            "gitConnections.create": Request(
                path="/git/connections",
                json={"name": "git", "host": "git.example.com", "auth": {"type": "sshKey"}, "teamId": self.team_id},
            ),
            "gitConnections.get": Request(path=f"/git/connections/{self.connection_id}"),
            "gitConnections.delete": Request(path=f"/git/connections/{self.connection_id}"),
            "environments.delete": Request(path=f"{one}/environments/staging", query={"confirm": "staging"}),
            "environments.restore": Request(path=f"{one}/environments/staging/restore"),
            "processes.list": Request(path=f"{one}/processes"),
            "processes.get": Request(path=f"{one}/processes/web"),
            "processes.update": Request(path=f"{one}/processes/web", json={"instances": 2}),
            "instances.list": Request(path=f"{one}/instances"),
            "instances.get": Request(path=f"{one}/instances/{self.instance_id}"),
            "uploads.create": Request(
                path="/uploads", json={"sizeBytes": 4, "sha256": "0" * 64, "contentType": "application/gzip"}
            ),
            "uploads.get": Request(path=f"/uploads/{self.upload_id}"),
            "uploads.putContent": Request(
                path=f"/uploads/{self.pending_upload_id}/content",
                content=b"ab",
                headers={"Content-Type": "application/gzip", "Content-Range": "bytes 0-1/4"},
            ),
            "deployments.list": Request(path="/deployments", query={"projectId": project}),
            "deployments.create": Request(path="/deployments", json={"projectId": project, "uploadId": self.upload_id}),
            "deployments.get": Request(path=f"/deployments/{deployment}"),
            "deployments.cancel": Request(path=f"/deployments/{deployment}/cancel"),
            "deployments.approve": Request(path=f"/deployments/{deployment}/approve", json={}),
            "deployments.redeploy": Request(path=f"/deployments/{deployment}/redeploy", json={}),
            "deployments.promote": Request(path=f"/deployments/{deployment}/promote", json={"environment": "staging"}),
            "deployments.rollback": Request(path=f"/deployments/{deployment}/rollback", json={}),
            "deployments.delete": Request(path=f"/deployments/{deployment}"),
            "deployments.events": Request(path=f"/deployments/{deployment}/events"),
            "deployments.logs": Request(path=f"/deployments/{deployment}/logs"),
            "deployments.streamLogs": Request(path=f"/deployments/{deployment}/logs/stream"),
            "env.list": Request(path="/env", query={"projectId": project}),
            "env.create": Request(
                path="/env",
                json={"projectId": project, "key": "OTHER", "value": "x", "environments": ["production"]},
            ),
            "env.get": Request(path=f"/env/{variable}"),
            "env.update": Request(path=f"/env/{variable}", json={"value": "new"}),
            "env.delete": Request(path=f"/env/{variable}"),
            "env.setAll": Request(
                path="/env/bulk",
                json={
                    "projectId": project,
                    "environment": "production",
                    "variables": [{"key": "A", "value": "b"}],
                },
            ),
            "env.import": Request(
                path="/env/import", json={"projectId": project, "environment": "production", "content": "A=b\n"}
            ),
            "env.export": Request(
                path="/env/export",
                json={"projectId": project, "environment": "production", "format": "dotenv", "reason": "a test"},
            ),
            "env.reveal": Request(path=f"/env/{variable}/reveal", json={"reason": "a test"}),
            "env.versions": Request(path=f"/env/{variable}/versions"),
            "env.rollback": Request(path=f"/env/{variable}/rollback", json={"version": 1}),
            "logs.list": Request(path="/logs", query={"projectId": project}),
            "logs.stream": Request(path="/logs/stream", query={"projectId": project}),
            "auditLogs.list": Request(path="/audit-logs", query={"teamId": self.team_id}),
            "auditLogs.get": Request(path=f"/audit-logs/{self.audit_id}"),
            "auditLogs.checkpoints": Request(path="/audit-logs/checkpoints", query={"teamId": self.team_id}),
            "auditLogs.export": Request(path="/audit-logs/export", query={"teamId": self.team_id}),
            "auditLogs.verify": Request(path="/audit-logs/verify", query={"teamId": self.team_id}),
        }


async def make_world(api: Api, folder: Path) -> World:
    """Through the API wherever it can be made without a worker."""
    source = folder / "source"
    source.mkdir()
    (source / "index.html").write_text("hello")
    owner = await api.owner()
    project = (await owner.request("POST", "/projects", json={"name": "shop", "teamId": api.team_id})).data["id"]
    await owner.request("POST", f"/projects/{project}/environments", json={"name": "staging"})
    variable = await owner.request(
        "POST",
        "/env",
        json={"projectId": project, "key": "COLOR", "value": "a-secret-value", "environments": ["production"]},
    )
    upload = (await owner.uploads.from_directory(source)).id
    pending = await owner.request(
        "POST", "/uploads", json={"sizeBytes": 4, "sha256": "0" * 64, "contentType": "application/gzip"}
    )
    deployment = await owner.request("POST", "/deployments", json={"projectId": project, "uploadId": upload})
    token = await owner.request(
        "POST", "/tokens", json={"name": "bot", "kind": "team", "scopes": ["tokens:write"], "teamId": api.team_id}
    )
    instance = await _release(api, project, deployment.data["id"], folder)
    connection = await owner.request(
        "POST",
        "/git/connections",
        json={"name": "git", "host": "git.example.com", "auth": {"type": "sshKey"}, "teamId": api.team_id},
    )
    async with db.begin(api.pool) as tx:
        await give_password(tx, (await create_user(tx, SYSTEM, name="Ada", email="ada@example.com")).id)
        await give_password(tx, api.owner_id)
        for purpose, secret in (("passwordReset", RESET_LINK), ("emailChange", CONFIRM_LINK)):
            await one_time.give(tx, purpose, secret, user_id=api.owner_id, email="ada@example.net")
    session = await api.session(api.owner_id)
    signed_in = await api.client(session).request("GET", "/tokens/current")
    role = await owner.request("POST", "/roles", json={"name": "mine", "scopes": ["roles:write"]})
    async with db.begin(api.pool) as tx:
        member = await make_user(tx, "colleague", **{api.team_id: "viewer"})
    grant = await owner.request("POST", "/grants", json={"projectId": project, "userId": member, "role": "mine"})
    await owner.request("POST", "/roles", json={"name": "helper", "scopes": ["members:write"]})
    async with db.begin(api.pool) as tx:
        await make_user(tx, "helper", **{api.team_id: "viewer"})
        # what a member has, who has nothing but single projects
        await tx.execute(
            "UPDATE members SET role_id = NULL WHERE user_id = (SELECT id FROM users WHERE name = 'helper')"
        )
    people = (await owner.request("GET", f"/teams/{api.team_id}/members")).data
    invitation = await owner.request(
        "POST", f"/teams/{api.team_id}/invitations", json={"email": "lee@example.net", "role": "viewer"}
    )
    invite = {"email": "ada@example.test", "role": "viewer"}
    await (await api.outsider()).request("POST", f"/teams/{api.other_team_id}/invitations", json=invite)
    await api.pool.execute(
        "UPDATE invitations SET secret_hash = sha256($1) WHERE team_id = $2", INVITATION.encode(), api.other_team_id
    )
    await sealer.seal(api.pool)
    audit = await owner.request("GET", "/audit-logs", query={"teamId": api.team_id})
    return World(
        team_id=api.team_id,
        project_id=project,
        upload_id=upload,
        pending_upload_id=pending.data["id"],
        deployment_id=deployment.data["id"],
        variable_id=variable.data["id"],
        token_id=token.data["id"],
        instance_id=instance,
        audit_id=audit.data[0]["id"],
        connection_id=connection.data["id"],
        role_id=role.data["id"],
        grant_id=grant.data["id"],
        member_user_id=member,
        member_id=next(one["id"] for one in people if one["name"] == "helper"),
        invitation_id=invitation.data["id"],
        session_id=signed_in.data["id"],
    )


async def _release(api: Api, project_id: str, deployment_id: str, folder: Path) -> str:
    """A live release of one web process, as the worker would leave it; returns its instance."""
    async with db.begin(api.pool) as tx:
        environment = await projects.environment(tx, project_id, "production")
        assert environment is not None
        web = ProcessSpec(
            type="web",
            command="true",
            port=0,
            protocol="http1",
            keep_alive_seconds=4,
            instances=1,
            cpu=1.0,
            memory_mb=128,
            health_check=None,
            plan=None,
        )
        (instance,) = await instances.want(
            tx,
            ReleaseSpec(
                deployment_id=deployment_id,
                project_id=project_id,
                environment_id=environment.id,
                environment="production",
                kind="release",
                path=str(folder),
                root="",
                mounts=[],
                env={},
                fallback=None,
                processes=[web],
            ),
        )
        await instances.go_live(tx, deployment_id)
    return instance
