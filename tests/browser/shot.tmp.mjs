import { chromium } from "playwright-core";
const [,, url, out, scheme="light", width="1440", height="900", script=""] = process.argv;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox","--use-gl=angle","--use-angle=swiftshader","--enable-unsafe-swiftshader"] });
const page = await browser.newPage({ viewport: { width: +width, height: +height }, colorScheme: scheme });
page.on("console", (m) => console.log("console", m.type(), m.text()));
page.on("pageerror", (e) => console.log("pageerror", e.message));
import("node:path");
await page.route("**/static/dist/**", (r) => { const f = new URL(r.request().url()).pathname.split("/").pop(); return r.fulfill({ path: `/work/wt/space/static/dist/${f}` }); });
await page.goto(url);
await page.waitForTimeout(1500);
if (script) { const r = await page.evaluate(script); if (r !== undefined) console.log(JSON.stringify(r)); await page.waitForTimeout(2500); }
await page.screenshot({ path: out });
await browser.close();
