// The studio's browser code: every page works without it, it makes pages live.
import { mountActionForms } from "./islands/action_forms.ts";
import { mountCompare } from "./islands/compare.ts";
import { mountDock } from "./islands/dock.ts";
import { mountEvaluation } from "./islands/evaluation.ts";
import { mountEventLog } from "./islands/event_log.ts";
import { mountLiveCharts } from "./islands/live_charts.ts";
import { mountNewRun } from "./islands/new_run.ts";
import { mountPrototypes } from "./islands/prototypes.ts";
import { mountRunHeader } from "./islands/run_header.ts";
import { mountRunLists } from "./islands/run_lists.ts";
import { mountKeys } from "./shell/keys.ts";
import { mountTheme } from "./shell/theme.ts";
import { hub } from "./stream/hub.ts";

document.documentElement.dataset["script"] = "on";
mountTheme();
mountKeys();
mountActionForms();
mountRunHeader();
mountLiveCharts();
mountDock();
mountEventLog();
mountEvaluation();
mountRunLists();
mountNewRun();
mountPrototypes();
mountCompare();
hub.start();
