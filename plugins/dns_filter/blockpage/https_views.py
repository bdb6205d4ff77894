"""The page of the second authority: what it can do, said before the button, and its certificate for devices."""

from __future__ import annotations

from aiohttp import web

from appliance.api import Appliance, Permission, Refused, actor, flash, read_form, redirect, render

HTTPS = "/dns_filter/https"
LONGEST_REASON = 300


class HttpsViews:
    """On, off, and the certificate."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._authority = appliance.second_authority

    async def show(self, request: web.Request) -> web.Response:
        """Whether it is on, and what that means: also for the safeguarding lead, who is told of each change."""
        return self._page(request)

    async def switch(self, request: web.Request) -> web.Response:
        """Switch it on or off, with a reason; the safeguarding lead is told."""
        fields = await read_form(request)
        reason, wanted = fields.get("reason", "").strip()[:LONGEST_REASON], fields.get("to", "")
        if not reason:
            return self._page(request, "Say why, so that the next person understands.")
        try:
            if wanted == "on":
                await self._authority.on(actor(request), reason, HTTPS)
            elif wanted == "off":
                await self._authority.off(actor(request), reason, HTTPS)
            else:
                raise web.HTTPBadRequest
        except Refused as refused:
            return self._page(request, str(refused), reason)
        await self._appliance.health.refresh()
        flash(request, f"The second authority is {wanted}. The safeguarding lead was told.")
        return redirect(HTTPS)

    async def certificate(self, _request: web.Request) -> web.Response:
        """The certificate, for devices that are to trust it; never its key."""
        return web.Response(
            body=self._authority.certificate_pem,
            content_type="application/x-x509-ca-cert",
            headers={"Content-Disposition": 'attachment; filename="blocked-sites-authority.crt"'},
        )

    def _page(self, request: web.Request, error: str = "", reason: str = "") -> web.Response:
        on = self._authority.is_on
        return render(
            request,
            "dns_filter/https.html",
            422 if error else 200,
            on=on,
            fingerprint=self._authority.fingerprint if on else "",
            not_after=self._authority.not_after if on else None,
            excluded=self._authority.excluded if on else (),
            errors={"reason": error} if error else {},
            reason=reason,
            may_change=actor(request).may(Permission.OPERATE),
            longest=LONGEST_REASON,
        )
