// Places that nothing reads or pictures: where pupils look for help, and the box's own pages.

// The host of an address; also of blob: addresses, which hold another address. Empty where there is none.
export function hostOf(address) {
  try {
    const url = new URL(address);
    const host = url.protocol === "blob:" ? new URL(url.origin).hostname : url.hostname;
    return host.replace(/\.$/, "").replace(/^\[|\]$/g, "");
  } catch {
    return "";
  }
}

export class Places {
  constructor(hosts) {
    this.hosts = new Set(hosts);
  }

  // Whether one of the addresses lies at one of these hosts or below.
  hold(addresses) {
    return addresses.some((address) => address && this.#holds(hostOf(address)));
  }

  #holds(host) {
    for (let name = host; name; name = name.includes(".") ? name.slice(name.indexOf(".") + 1) : "") {
      if (this.hosts.has(name)) return true;
    }
    return false;
  }
}
