// What the command line of `troupe` is: its commands, their options, and what --help says of each.
#include "command/cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

#include "command_line/definition.hpp"
#include "command_line/options.hpp"
#include "troupe/actors/config.hpp"

namespace troupe::apps {
namespace {

constexpr const char* about =
    "troupe runs task graphs on machines with many accelerator chips, real or simulated.\n"
    "First steps:\n"
    "  troupe list                                    what there is to run\n"
    "  troupe run hello                               run it\n"
    "  troupe run allreduce --chips 4 --trace t.json  four simulated chips, and a trace\n"
    "  troupe trace summary t.json                    where the time went\n"
    "  troupe trace html t.json > t.html              a page to look at it\n"
    "  troupe help                                    more, by subject";
constexpr const char* exits =
    "Exit codes: 0 fine; 1 it ran and failed; 2 the command line is wrong; 3 a file, module or platform\n"
    "cannot be used; 124 out of time; 130 interrupted. `troupe COMMAND --help` tells more.";

const std::vector<std::string> log_levels = {"error", "warning", "info", "debug"};

std::vector<CLI::Option*> add_certificates(CLI::App* sub, Certificates& to) {
  return {
      place(sub, "--cert", to.certificate, "Certificate to show to the other end; `troupe certs` makes it"),
      place(sub, "--key", to.key, "Its key, which nobody else may read"),
      place(sub, "--ca", to.authority, "Certificate of the authority that the other end's has to be of")};
}

void add_run(Definition& all) {
  RunCommand& run = all.run;
  CLI::App* sub =
      all.app.add_subcommand("run", "Run a program: a built-in example, or one in a shared object");
  sub->add_option("PROGRAM", run.program,
                  "A name from `troupe list`, or FILE.so for the one program in it, or FILE.so:NAME,\n"
                  "or FILE.py:NAME, in Python, or FILE.bin, a packed callable (any object, with --tensor),\n"
                  "or FILE.tplan, a saved plan")
      ->required();
  sub->add_option("--platform", run.platform,
                  "Platform of the chips: a2a3sim, a5sim, opencl, cuda, or a library's path")
      ->capture_default_str();
  number(sub, "--chips", run.chips, "Chips per node (default: what the program asks for)", 1,
         actors::most_executors);
  number(sub, "--nodes", run.nodes, "Nodes of a pod, all in this process (default: a single node)", 1,
         actors::most_executors);
  sub->add_flag("--checked", run.checked, "Chips look for kernels that write where they must not; slower");
  sub->add_flag("--isolate", run.isolate,
                "Each chip in a process of its own: a kernel that crashes ends no other");
  auto* const hosts =
      names(sub, "--hosts", run.hosts,
            "Nodes on other machines instead of chips here: HOST:PORT,HOST:PORT; `troupe node` is one.\n"
            "@FOLDER: all those of `troupe node --ranks FOLDER`",
            "HOST:PORT");
  for (auto* const option : add_certificates(sub, run.certificates)) option->needs(hosts);
  number(sub, "--silence", run.silence_ms, "Milliseconds without a byte until a host counts as lost", 50,
         3600000)
      ->capture_default_str()
      ->needs(hosts);
  number(sub, "--rejoin", run.rejoin_seconds, "Seconds that a lost host may take to be back", 0, 1000000)
      ->capture_default_str()
      ->needs(hosts);
  word(all, sub, "--placement", run.placement,
       "Chips for tasks that are bound to none (default: by data and free credit)",
       {"earliest_finish", "least_loaded", "where_the_data_is"});
  sub->add_option("--models", run.models,
                  "Keep there what is learned of tasks, for the next run; with --placement earliest_finish")
      ->type_name("FILE");
  number(sub, "--runs", run.runs, "Run the program this many times, one after the other", 1, 1000000)
      ->capture_default_str();
  number(sub, "--timeout", run.timeout_seconds, "Seconds after which a run is cancelled (default: never)", 1,
         1000000);
  sub->add_option("--param", run.parameters,
                  "A parameter of the program; `troupe run PROGRAM --help` says which it takes")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  sub->add_option(
         "--tensor", run.tensors,
         "TYPE[SHAPE]:TAG, with =VALUE or @FILE: a tensor of a FILE.bin or FILE.tplan, in their order")
      ->allow_extra_args(false);
  sub->add_option("--scalar", run.scalars, "TYPE=VALUE: a scalar of a FILE.bin or FILE.tplan, in their order")
      ->allow_extra_args(false);
  sub->add_option("--module", run.modules,
                  "A module that has kernels of a FILE.tplan; repeatable (default: what is built in)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  place(sub, "--trace", run.trace, "Write what ran where and when (Chrome / Perfetto format)");
  place(sub, "--graph", run.graph, "Write the task graph (.dot for Graphviz, .mmd for Mermaid)");
  place(sub, "--swimlane", run.swimlane, "Write the core tasks as swimlane JSON");
  place(sub, "--tensor-dump", run.tensor_dump, "Write the tensors before and after each kernel", "FOLDER");
  sub->add_option("--dump-only", run.dumped, "Dump kernels with this name only; * and ? stand for anything")
      ->type_name("NAME")
      ->needs("--tensor-dump");
  sub->footer(
      "Examples:\n"
      "  troupe run vector_add --platform a5sim\n"
      "  troupe run allreduce --chips 8 --param rounds=20 --trace t.json\n"
      "  troupe run heat --help                                   what its parameters are\n"
      "  troupe run ./libmine.so:train --chips 2 --param 0=1e-6   (without a name: by position)\n"
      "  troupe run decode.bin --tensor f32[8,64]:in=1.5 --tensor f32[64]:out --scalar i32=3\n"
      "  troupe run step.tplan --module ./libmine.so --tensor f32[8]:in=1 --tensor f32[8]:out\n"
      "  troupe run pod --hosts a:7000,b:7000 --cert me.pem --key me.key --ca ca.pem\n"
      "Ctrl-C cancels the run, cleans up and answers 130; a second one ends at once.");
  sub->callback([&all] { all.chosen = all.run; });
}

void add_looks(Definition& all) {
  CLI::App* sub =
      all.app.add_subcommand("list", "List the built-in programs and kernels, or what modules contain");
  sub->add_option("MODULE", all.list.modules, "Shared objects; without any: what is built in");
  sub->callback([&all] { all.chosen = all.list; });

  sub = all.app.add_subcommand("devices", "List the platforms that can be used, and what their chips are");
  sub->add_option("PLATFORM", all.devices.platforms, "Names or library paths (default: all that are found)");
  sub->footer("Platforms are looked for in TROUPE_PLATFORM_PATH, then where troupe is installed.");
  sub->callback([&all] { all.chosen = all.devices; });

  ScenesCommand& scenes = all.scenes;
  sub = all.app.add_subcommand("scenes", "Run test scenes on chips, several at a time");
  sub->add_option("MODULE", scenes.modules,
                  "Shared objects with scenes, or programs of scenes; without any: the built-in scenes");
  sub->add_option("--platform", scenes.platforms, "Only on this one, or these: P,Q (default: a2a3sim,a5sim)")
      ->delimiter(',')
      ->allow_extra_args(false);
  sub->add_option("--case", scenes.cases, "Only SCENE or SCENE::CASE; may be given several times")
      ->allow_extra_args(false);
  number(sub, "--devices", scenes.devices, "How many run at a time (default: the machine's cores)", 1, 256);
  number(sub, "--timeout", scenes.timeout_seconds, "Seconds after which a scene has failed", 1, 86400)
      ->capture_default_str();
  word(all, sub, "--manual", scenes.manual, "Cases marked as manual", {"exclude", "include", "only"})
      ->capture_default_str();
  number(sub, "--rounds", scenes.rounds, "Run each this many times in its process", 1, 1000000)
      ->capture_default_str();
  number(sub, "--retries", scenes.retries, "Fresh tries for what failed", 0, 100)->capture_default_str();
  sub->add_flag("-x,--fail-fast", scenes.fail_fast, "Start nothing more after a failure");
  sub->add_flag("--list", scenes.list, "Only list them");
  sub->footer(
      "Each scene runs in a process of its own; one that fails is tried again in a fresh one. What the\n"
      "platform cannot run (a device: chip programs) is skipped; exit code 3 when that is everything.\n"
      "Examples:\n"
      "  troupe scenes --platform a5sim --case matmul_tiled\n"
      "  troupe scenes ./libmy_kernels.so");
  sub->callback([&all] { all.chosen = all.scenes; });

  all.app.add_subcommand("version", "Print the version")->callback([&all] { all.chosen = VersionCommand{}; });
}

void add_nodes(Definition& all) {
  NodeCommand& node = all.node;
  CLI::App* sub = all.app.add_subcommand("node", "Lend this machine's chips to programs on other machines");
  auto* const listen =
      sub->add_option("--listen", node.listen, "Where: HOST:PORT, or unix:PATH for programs of yours here")
          ->type_name("ADDRESS");
  place(sub, "--ranks", node.ranks,
        "Instead, one of many that mpirun or srun starts: its certificate is in this folder, made by\n"
        "`troupe certs`, and there it says where it listens, for `troupe run --hosts @FOLDER`",
        "FOLDER")
      ->excludes(listen);
  number(sub, "--chips", node.chips, "How many chips", 1, actors::most_executors)->capture_default_str();
  sub->add_option("--platform", node.platform,
                  "Their platform: a2a3sim, a5sim, opencl, cuda, or a library's path")
      ->capture_default_str();
  number(sub, "--first-device", node.first_device,
         "The device number of the first (default: 0; of --ranks those of a machine follow each other)", 0,
         65535);
  add_certificates(sub, node.certificates);
  sub->add_option("--allow", node.allowed, "A name that may use the node, as on its certificate; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  sub->add_option("--ship", node.may_ship, "An allowed name that may also send code to run here; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  sub->add_option("--module", node.modules, "A module that programs may use; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  number(sub, "--silence", node.silence_ms, "Milliseconds without a byte until a program counts as lost", 50,
         3600000)
      ->capture_default_str();
  sub->footer(
      "One program at a time has the node. Each chip is a process of its own.\n"
      "Example:\n"
      "  troupe node --listen 0.0.0.0:7000 --chips 4 --cert b.pem --key b.key --ca ca.pem \\\n"
      "      --allow alice --module ./libmine.so\n"
      "  mpirun -n 2 --host a,b troupe node --ranks ~/certs --chips 4 --allow alice\n"
      "Ctrl-C ends it, and what runs there.");
  sub->add_flag("--of-pod", node.of_pod)->group("");  // started by `troupe pod`
  sub->callback([&all] { all.chosen = all.node; });

  PodCommand& pod = all.pod;
  sub = all.app.add_subcommand(
      "pod", "Several nodes at once: here, to try what runs on several machines, or on those");
  auto* nodes = number(sub, "--nodes", pod.nodes, "How many on this machine, a process each", 1, 256)
                    ->capture_default_str();
  auto* hosts = names(sub, "--hosts", pod.hosts,
                      "Instead one on each of these machines, where troupe is installed", "HOST,HOST")
                    ->excludes(nodes);
  sub->add_option(
         "--through", pod.through,
         "What starts a program there, when a host and the program follow: ssh, srun -w, mpirun -n 1 --host")
      ->type_name("WORDS")
      ->capture_default_str()
      ->needs(hosts);
  number(sub, "--port", pod.port, "Where they listen there (default: any port that is free)", 0, 65535)
      ->needs(hosts);
  sub->add_option("--troupe", pod.program, "The command there")
      ->type_name("FILE")
      ->capture_default_str()
      ->needs(hosts);
  number(sub, "--chips", pod.chips, "Chips of each", 1, actors::most_executors)->capture_default_str();
  sub->add_option("--platform", pod.platform,
                  "Their platform: a2a3sim, a5sim, opencl, cuda, or a library's path")
      ->capture_default_str();
  sub->footer(
      "Makes certificates for them (needs the program openssl), and prints the options with which\n"
      "`troupe run` uses them. Ctrl-C ends it, and takes the certificates away: no file has them, and\n"
      "a node on another machine gets its own through what started it.\n"
      "Examples:\n"
      "  troupe pod --nodes 3 > options &\n"
      "  troupe run pod $(cat options)        once it has said that the nodes are there\n"
      "  troupe pod --hosts a.example,b.example --chips 8 > options &\n"
      "  troupe pod --hosts $(scontrol show hostnames | paste -sd,) --through 'srun -N 1 -n 1 -w'");
  sub->callback([&all] { all.chosen = all.pod; });

  sub =
      all.app.add_subcommand("certs", "Make an authority of your own, and certificates for nodes and users");
  sub->add_option("FOLDER", all.certs.folder, "Where; what is there already is used, never overwritten")
      ->required();
  sub->add_option("--node", all.certs.nodes,
                  "A host that runs `troupe node`, as programs will call it; repeatable")
      ->type_name("HOST")
      ->allow_extra_args(false);
  sub->add_option("--user", all.certs.users,
                  "Someone who runs programs, by a name that nodes --allow; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  number(sub, "--days", all.certs.days, "How long they are good", 1, 3650)->capture_default_str();
  sub->footer(
      "Needs the program openssl. ca.key stays in FOLDER; a machine gets ca.pem and its own .pem and .key.\n"
      "Example:\n"
      "  troupe certs ~/certs --node a.example --node 10.0.0.2 --user alice");
  sub->callback([&all] { all.chosen = all.certs; });
}

void add_help(Definition& all) {
  CLI::App* sub = all.app.add_subcommand("help", "Explain a command, a program or a subject");
  sub->add_option("TOPIC", all.help.words, "A command, a program or a subject; without any: all of them");
  sub->add_flag("--man", all.help.manual, "The page of a command as a manual page, for: man -l FILE");
  sub->footer(
      "Examples:\n"
      "  troupe help run\n"
      "  troupe help heat\n"
      "  troupe help types");
  sub->callback([&all] { all.chosen = all.help; });

  sub = all.app.add_subcommand("completion", "Print what a shell needs to complete command lines");
  word(all, sub, "SHELL", all.completion.shell, "The shell", {"bash", "zsh", "fish"})->required();
  sub->footer(
      "Installed packages have it already. For one shell:\n"
      "  source <(troupe completion bash)\n"
      "  source <(troupe completion zsh)\n"
      "  troupe completion fish | source");
  sub->callback([&all] { all.chosen = all.completion; });
}

void add_trace(Definition& all) {
  CLI::App* trace = all.app.add_subcommand("trace", "Look at a trace that `troupe run --trace` wrote");
  trace->require_subcommand(1);
  CLI::App* sub = trace->add_subcommand(
      "summary", "Utilisation, longest tasks, critical path, where time was lost waiting");
  sub->add_option("FILE", all.summary.file, "A trace")->required();
  sub->add_flag("--json", all.summary.json, "As one JSON object; times are nanoseconds");
  number(sub, "--top", all.summary.top, "Rows of each table (default: about a screen in all)", 1, 1000000);
  sub->callback([&all] { all.chosen = all.summary; });

  sub = trace->add_subcommand("html", "One self-contained page to zoom in, on standard output");
  sub->add_option("FILE", all.html.file, "A trace")->required();
  sub->footer("Example: troupe trace html t.json > timeline.html");
  sub->callback([&all] { all.chosen = all.html; });

  sub = trace->add_subcommand("graph", "The task graph, with tags and the way of failures");
  sub->add_option("FILE", all.graph.file, "A trace")->required();
  sub->add_option("OUTPUT", all.graph.output, "FILE.dot (Graphviz) or FILE.mmd (Mermaid)")->required();
  sub->add_option(
         "--name", all.graph.name,
         "Only tasks and callables of this name; * and ? stand for anything. Dotted: by way of others")
      ->type_name("NAME");
  sub->callback([&all] { all.chosen = all.graph; });

  sub = trace->add_subcommand("swimlane", "The core tasks as swimlane JSON");
  sub->add_option("FILE", all.swimlane.file, "A trace")->required();
  sub->add_option("OUTPUT", all.swimlane.output, "Where to write it")->required();
  sub->callback([&all] { all.chosen = all.swimlane; });
}

void add_dump(Definition& all) {
  DumpCommand& dump = all.dump;
  CLI::App* sub = all.app.add_subcommand("dump", "Look at tensors that `troupe run --tensor-dump` wrote");
  sub->add_option("FOLDER", dump.folder, "A tensor dump")->required();
  sub->add_option("--task", dump.filter.task, "Only of this task, e.g. 17.3")->type_name("NUMBER");
  sub->add_option("--name", dump.filter.name, "Only of kernels with this name; * and ? stand for anything");
  word(all, sub, "--stage", dump.filter.stage, "Only at this moment", {"before", "after"});
  word(all, sub, "--role", dump.filter.role, "Only arguments used so",
       {"in", "out", "inout", "out_existing", "no_dep"});
  number(sub, "--arg", dump.filter.argument, "Only the argument of this number", 0, 1000000);
  number(sub, "--index", dump.filter.index, "Only the entry of this number in the listing", 0, 1000000000);
  sub->add_flag("--values", dump.values, "Print the elements too");
  place(sub, "--export", dump.export_folder, "Write the elements of each as text into this folder", "FOLDER");
  place(sub, "--npy", dump.npy_folder, "Write each as NUMBER.npy into this folder, for numpy.load", "FOLDER");
  sub->callback([&all] { all.chosen = all.dump; });
}

/// Common options may stand after the subcommand, where people put them.
void let_options_stand_anywhere(CLI::App& app) {
  for (CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; })) {
    sub->fallthrough();
    let_options_stand_anywhere(*sub);
  }
}

}  // namespace

Definition::Definition() : app(about, "troupe") {
  app.footer(exits);
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("troupe ") + version(), "Print the version");
  log_level = log_levels[1];
  word(*this, &app, "--log-level", log_level, "How much to say", log_levels)->capture_default_str();
  add_run(*this);
  add_looks(*this);
  add_nodes(*this);
  add_trace(*this);
  add_dump(*this);
  add_help(*this);
  let_options_stand_anywhere(app);
}

int Definition::log_number() const {
  return static_cast<int>(std::ranges::find(log_levels, log_level) - log_levels.begin()) + 1;
}

const char* version() noexcept { return TROUPE_VERSION; }

}  // namespace troupe::apps
