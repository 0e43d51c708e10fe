// What the tests with hostile texts share: the payloads, and a page that notes what ran.
import { openPage } from "./support.mjs";

/** Code that leaves a mark wherever it runs, without quotes so that it fits everywhere. */
export const CODE = "globalThis.hacked=1";

export const WRAPPED = [
  (code) => `<script>${code}</script>`,
  (code) => `</script><script>${code}</script>`,
  (code) => `</title><script>${code}</script>`,
  (code) => `</textarea><script>${code}</script>`,
  (code) => `<ScRiPt>${code}</sCrIpT>`,
  (code) => `<script src=data:text/javascript,${code}></script>`,
  (code) => `<img src=x onerror=${code}>`,
  (code) => `<img/src=x/onerror=${code}>`,
  (code) => `<svg onload=${code}>`,
  (code) => `<svg><script>${code}</script></svg>`,
  (code) => `<svg><animate onbegin=${code} attributeName=x dur=1s>`,
  (code) => `<svg><a href=javascript:${code}><text y=20>x</text></a></svg>`,
  (code) => `<math href=javascript:${code}>x</math>`,
  (code) => `<body onload=${code}>`,
  (code) => `<details open ontoggle=${code}>`,
  (code) => `<input autofocus onfocus=${code}>`,
  (code) => `<iframe src=javascript:parent.${code}></iframe>`,
  (code) => `<iframe srcdoc="<script>parent.${code}</script>"></iframe>`,
  (code) => `<object data=javascript:${code}></object>`,
  (code) => `<embed src=javascript:${code}>`,
  (code) => `<video><source onerror=${code}></video>`,
  (code) => `<style>@import url(javascript:${code})</style>`,
  (code) => `<style onload=${code}></style>`,
  (code) => `<link rel=stylesheet href=data:text/css,*{} onload=${code}>`,
  (code) => `<meta http-equiv=refresh content="0;url=javascript:${code}">`,
  (code) => `<base href=javascript:${code}//>`,
  (code) => `<form action=javascript:${code}><button>x</button></form>`,
  (code) => `" onmouseover=${code} x="`,
  (code) => `' onmouseover=${code} x='`,
  (code) => `" autofocus onfocus=${code} x="`,
  (code) => `"><script>${code}</script>`,
  (code) => `'><img src=x onerror=${code}>`,
  (code) => `\`\${${code}}\``,
  (code) => `{{${code}}}`,
  (code) => `{% ${code} %}`,
  (code) => `javascript:${code}`,
  (code) => `--><script>${code}</script>`,
  (code) => `]]><script>${code}</script>`,
  (code) => `<!--><img src=x onerror=${code}>-->`,
  (code) => `<noscript><p title="</noscript><img src=x onerror=${code}>">`,
  (code) => `<table><td background=javascript:${code}>`,
  (code) => `<div style="background:url(javascript:${code})">`,
  (code) => `<a href="jav&#x09;ascript:${code}">x</a>`,
  (code) => `&lt;img src=x onerror=${code}&gt;`,
  (code) => `&#60;img src=x onerror=${code}&#62;`,
  (code) => `\\u003cimg src=x onerror=${code}\\u003e`,
  (code) => `%3Cimg%20src%3Dx%20onerror%3D${code}%3E`,
  (code) => `<img src=x onerror\u00a0=${code}>`,
  (code) => `<template><script>${code}</script></template>`,
  (code) => `<slot onslotchange=${code}><x-x></x-x></slot>`,
];
/** Each alone, and with words around it. */
export const PAYLOADS = WRAPPED.flatMap((wrap) => [wrap(CODE), `a cat ${wrap(CODE)} on a mat`]);

/** A page that notes in `breaches` what ran or was kept from running. */
export async function watchedPage(browser, options) {
  const opened = await openPage(browser, options);
  const breaches = [];
  opened.page.on("dialog", (dialog) => {
    breaches.push(`dialog ${dialog.message()}`);
    dialog.dismiss();
  });
  await opened.page.exposeFunction("noteBreach", (what) => breaches.push(what));
  await opened.page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.noteBreach(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  return { ...opened, breaches };
}
