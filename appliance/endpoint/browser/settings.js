// What the school's policy says about this device, and what can be told of it to the box.

import { cut } from "./bytes.js";

const LONGEST = 200;

// {serverUrl, enrolToken, deviceName, deviceSerial}: empty for some seconds after the first installation.
export async function settings() {
  const { serverUrl = "", enrolToken = "", deviceName = "", deviceSerial = "" } = await chrome.storage.managed.get();
  return { serverUrl, enrolToken, deviceName, deviceSerial };
}

// Where the box waits: {host, address}, or null if the policy names no usable address.
export function boxOf(serverUrl) {
  try {
    const url = new URL(serverUrl);
    const scheme = { "https:": "wss:", "http:": "ws:" }[url.protocol];
    return scheme ? { host: url.host, address: `${scheme}//${url.host}/connect` } : null;
  } catch {
    return null;
  }
}

export async function facts({ deviceName, deviceSerial }) {
  const [platform, profile, name, serial] = await Promise.all([
    chrome.runtime.getPlatformInfo(),
    profileAccount(),
    deviceName || attribute("getDeviceHostname"),
    deviceSerial || attribute("getDeviceSerialNumber"),
  ]);
  return {
    version: chrome.runtime.getManifest().version,
    browser: browserName(navigator.userAgentData?.brands ?? []),
    platform: platform.os,
    name: cut(name, LONGEST),
    serial: cut(serial, LONGEST),
    profile,
  };
}

// The account of the browser profile, if somebody is signed in to it.
export async function profileAccount() {
  try {
    return cut((await chrome.identity.getProfileUserInfo({ accountStatus: "ANY" })).email, LONGEST);
  } catch {
    return "";
  }
}

// Managed Chromebooks only; the interface is missing elsewhere.
async function attribute(question) {
  try {
    return (await chrome.enterprise.deviceAttributes[question]()) ?? "";
  } catch {
    return "";
  }
}

export function browserName(brands) {
  const real = brands.filter(({ brand }) => !/not.*brand/i.test(brand));
  const named = real.find(({ brand }) => brand !== "Chromium") ?? real[0];
  return named ? `${named.brand} ${named.version}` : "";
}
