"""What `troupe run program.py:name` becomes: finds the program, gives it its parameters, runs it."""

import argparse
import contextlib
import importlib.util
import inspect
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
import typing

import troupe

EXIT_FAILED, EXIT_USAGE, EXIT_CANNOT_START, EXIT_OUT_OF_TIME, EXIT_INTERRUPTED = 1, 2, 3, 124, 130


class Refused(Exception):
    """The command line is wrong; `exit` says how."""

    def __init__(self, text, hint="", exit=EXIT_USAGE):
        super().__init__(text + (f"\n  hint: {hint}" if hint else ""))
        self.exit = exit


def say(text):
    with contextlib.suppress(OSError):  # there is nobody left to tell
        print(text, file=sys.stderr, flush=True)


def show(text):
    """To standard output, all of it, or the reason is told."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads no further ends this, as other programs
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        with open(1, "wb", closefd=False) as out:
            out.write(text.encode(errors="surrogateescape"))
    except OSError:
        raise Refused("standard output cannot be written", "is the disk full?", EXIT_CANNOT_START) from None


def load(file):
    """The module of a file, which is not in the search path."""
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise Refused(f'cannot read "{file}": {error.strerror}', exit=EXIT_CANNOT_START) from None
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(file))[0], file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        line = (error.text or "").strip()
        where = f'"{error.filename or file}"' + (f", line {error.lineno}" if error.lineno else "")
        raise Refused(f"{where} is no Python: {error.msg}", line and f"the line is: {line}", EXIT_CANNOT_START) from None
    except troupe.Error:  # of a kernel that does not compile, say: it is told as everywhere
        raise
    except Exception as error:
        own = error.__traceback__
        while own is not None and own.tb_frame.f_code.co_filename != spec.origin:
            own = own.tb_next
        traceback.print_exception(type(error), error, own)
        what = traceback.format_exception_only(error)[-1].strip()
        raise Refused(f'"{file}" cannot be loaded: {what}', exit=EXIT_CANNOT_START) from None
    return module


def find(module, file, name):
    """The program of that name, or the only one that is marked."""
    marked = {k: v for k, v in vars(module).items() if getattr(v, "_troupe_program", False)}
    names = "its programs are: " + ", ".join(marked) if marked else "mark one with @troupe.program"
    if name:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
        raise Refused(f'there is no program "{name}" in "{file}"', names, EXIT_CANNOT_START)
    if len(marked) == 1:
        return next(iter(marked.values()))
    what = "several programs" if marked else "no program"
    raise Refused(f'"{file}" has {what}', names + "; say FILE:NAME" if marked else names, EXIT_CANNOT_START)


#: What a text is turned into, in the order in which that is tried.
PLAIN = (int, float, bool, str)


def annotation_of(function, parameter):
    """An annotation that is a text is looked up; the empty one: it names something that is not there."""
    names = getattr(inspect.unwrap(function), "__globals__", {})
    alone = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(alone, names)[parameter.name]
    except Exception:  # whatever the text does when it is looked up, as names that only checkers of types know
        return parameter.empty if isinstance(parameter.annotation, str) else parameter.annotation


def kinds_of(program):
    """By the name of a parameter: the types that its annotation allows, without None, or the type of its default."""
    kinds = {}
    for name, parameter in inspect.signature(program).parameters.items():
        kind = parameter.annotation
        if kind is not parameter.empty:
            kind = annotation_of(program, parameter)
        if kind is not parameter.empty:
            several = typing.get_origin(kind) in (typing.Union, types.UnionType)
            kinds[name] = [one for one in (typing.get_args(kind) if several else [kind]) if one is not type(None)]
        else:
            kinds[name] = [] if parameter.default is None or parameter.default is parameter.empty else [type(parameter.default)]
    return kinds


def said(kinds):
    """Types as a program writes them."""
    return [one.__name__ if isinstance(one, type) else str(one) for one in kinds]


def value_of(text, kinds, program, name):
    """A parameter as its annotation or its default says; of other types than these, as the text looks."""
    if not kinds or not all(kind in PLAIN for kind in kinds):
        kinds = [int, float, str]
    for kind in PLAIN:
        if kind is bool and kind in kinds:
            if text in ("true", "1", "false", "0"):
                return text in ("true", "1")
        elif kind in kinds:
            try:
                return kind(text)
            except ValueError:
                pass
    possible = " or ".join(said(kind for kind in PLAIN if kind in kinds))
    raise Refused(f'program "{program}" cannot take "{text}" for its parameter "{name}"', f"it is of type {possible}")


def bind(program, given):
    """The values of a program's parameters, by name."""
    title = program.__name__
    kinds = kinds_of(program)
    known = {name: (default, has) for name, default, has in troupe.parameters_of(program)}
    hint = "its parameters are: " + ", ".join(known) if known else "leave --param away"
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Refused(f'program "{title}" got --param "{text}", which is not name=value', hint)
        if name not in known:
            raise Refused(f'program "{title}" has no parameter "{name}"', hint)
        if name in values:
            raise Refused(f'program "{title}" got its parameter "{name}" twice', hint)
        values[name] = value_of(value, kinds[name], title, name)
    for name, (_, has) in known.items():
        if not has and name not in values:
            raise Refused(f'program "{title}" needs its parameter "{name}"', f"--param {name}=…")
    return values


def parse(words):
    parser = argparse.ArgumentParser(prog="python3 -m troupe", description="Runs programs in Python; see `troupe run --help`.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("program")
    run.add_argument("--platform", default="a2a3sim")
    run.add_argument("--chips", type=int)
    run.add_argument("--nodes", type=int, default=0)
    run.add_argument("--runs", type=int, default=1)
    run.add_argument("--timeout", type=float)
    run.add_argument("--checked", action="store_true")
    run.add_argument("--isolate", action="store_true")
    run.add_argument("--hosts", action="append", default=[])
    run.add_argument("--cert", default="")
    run.add_argument("--key", default="")
    run.add_argument("--ca", default="")
    run.add_argument("--silence", type=int, default=2000)
    run.add_argument("--rejoin", type=int, default=60)
    run.add_argument("--placement", choices=["earliest_finish", "least_loaded", "where_the_data_is"])
    run.add_argument("--models")
    run.add_argument("--trace")
    run.add_argument("--graph")
    run.add_argument("--swimlane")
    run.add_argument("--tensor-dump")
    run.add_argument("--dump-only")
    run.add_argument("--tool", default=shutil.which("troupe"))
    run.add_argument("--log-level", type=int, default=2)
    run.add_argument("--param", action="append", default=[])
    commands.add_parser("help").add_argument("program")
    return parser.parse_args(words)


def machine_of(asked):
    """The options of a node that was asked for; those of each node where it is a pod, otherwise None."""
    options = {"chips": asked.chips or 1, "own_process": asked.isolate}
    if asked.checked:
        options["checked"] = True
    if asked.placement:
        options["placement"] = asked.placement
    if asked.models:
        if not asked.placement:
            hint = "say which placement is to use it: --placement earliest_finish"
            raise Refused("--models says where to keep what is learned, and nothing learns", hint)
        if asked.nodes:
            raise Refused("--models is for a single node: those of a pod would write one file")
        options["models"] = asked.models
    hosts = [host for given in asked.hosts for host in given.split(",")]
    if not hosts:
        return options, [{}] * asked.nodes or None
    if asked.chips or asked.isolate:
        hint = "`troupe node --chips N` says how many a host has, each in a process of its own"
        raise Refused("--chips and --isolate are about chips of this machine", hint)
    if asked.nodes not in (0, len(hosts)):
        raise Refused(f"--nodes {asked.nodes}, but {len(hosts)} hosts", "a pod has one node on each host")
    files = {"certificate": asked.cert, "key": asked.key, "authority": asked.ca}
    remote = [{"address": host, **files, "silence": asked.silence / 1000} for host in hosts]
    options["rejoin"] = asked.rejoin
    if asked.nodes:
        return options, [{"remote": [one]} for one in remote]
    return {**options, "remote": remote}, None


def program_of(text):
    """The module and the program that FILE.py or FILE.py:NAME says."""
    file, _, name = text.partition(".py:")
    file = file if not name else file + ".py"
    module = load(file)
    return module, find(module, file, name)


def explain(asked):
    """What `troupe run program.py --help` prints."""
    program = program_of(asked.program)[1]
    about = (program.__doc__ or "").strip().split("\n")[0]
    kinds = kinds_of(program)
    rows = []
    for name, default, has in troupe.parameters_of(program):
        rows.append((f"{name}={default}" if has else name, " | ".join(said(kinds[name]))))
    lines = [program.__name__ + (f": {about}" if about else "")]
    lines.append(f"Usage: troupe run {asked.program} [OPTIONS]" + (" --param k=v …" if rows else ""))
    if rows:
        width = max(len(name) for name, _ in rows)
        lines += ["", "Parameters:", *(f"  {name:<{width}}  {kind}".rstrip() for name, kind in rows)]
    show("\n".join([*lines, "", "Without --chips: 1 chip. All options: troupe run --help", ""]))
    return 0


def execute(asked):
    """Runs it, and writes what was asked for, however it ended."""
    module, program = program_of(asked.program)
    values = bind(program, asked.param)
    machine = machine_of(asked)
    drawn = {kind: file for kind, file in [("graph", asked.graph), ("swimlane", asked.swimlane)] if file}
    if drawn and not asked.tool:
        raise Refused("a graph and a swimlane are made by the command troupe, which is not in PATH", exit=EXIT_CANNOT_START)
    if not drawn and not asked.trace:
        return run_on(asked, machine, module, program, values)
    with contextlib.nullcontext() if asked.trace else tempfile.TemporaryDirectory() as folder:
        trace = asked.trace or os.path.join(folder, "trace.json")
        recorded = troupe.Trace()
        recorded.write(trace)  # what cannot be written is told before the run
        answer = answer_of(lambda: run_on(asked, machine, module, program, values, trace=recorded))
        unwritten = answer_of(lambda: recorded.write(trace))
        if unwritten:
            return answer or unwritten
        for kind, file in drawn.items():
            made = subprocess.run([asked.tool, "trace", kind, trace, file])
            answer = answer or made.returncode
    return answer


def run_on(asked, machine, module, program, values, **options):
    machine, nodes = machine
    given = {"dump": asked.tensor_dump, "dump_only": asked.dump_only}
    options.update({name: value for name, value in given.items() if value})
    with troupe.System(platform=asked.platform, log_level=asked.log_level, **machine, **options) as system:
        node = system.pod(nodes) if nodes else system.node()
        for value in list(vars(module).values()):
            if isinstance(value, troupe.Module):
                node.load(value)

        if inspect.iscoroutinefunction(program):

            async def bound(node):
                return await program(node, **values)

        else:

            def bound(node):
                return program(node, **values)

        for _ in range(asked.runs):
            begin = time.perf_counter()
            handle = None
            try:
                handle = node.submit(bound, name=program.__name__)
                if not handle.wait(asked.timeout):
                    say(f"{program.__name__}: not done within {asked.timeout:g} s\n{handle.why()}")
                    handle.cancel()
                    return EXIT_OUT_OF_TIME
            except KeyboardInterrupt:
                if handle is not None:
                    handle.cancel()
                say(f"{program.__name__}: cancelled")
                return EXIT_INTERRUPTED
            try:
                handle.result()
            except troupe.Error as error:
                say(f"troupe: {error}")
                while error.__cause__ is not None and isinstance(error.__cause__, troupe.Error):
                    error = error.__cause__
                    say(f"  because: {error}")
                return EXIT_FAILED
            report = handle.report()
            tasks = report.tasks + report.inside
            say(f"{program.__name__}: {tasks} task{'' if tasks == 1 else 's'} in {(time.perf_counter() - begin) * 1e3:.3g} ms")
    return 0


def answer_of(work):
    """The exit code of what is called; what that raises is told."""
    try:
        return work()
    except Refused as refused:
        say(f"troupe: {refused}")
        return refused.exit
    except troupe.Error as error:
        say(f"troupe: {error}")
        return EXIT_CANNOT_START
    except KeyboardInterrupt:  # between two waits
        say("troupe: cancelled")
        return EXIT_INTERRUPTED


def main(words):
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same as Ctrl-C, as for programs in C++

    def work():
        asked = parse(words)
        return explain(asked) if asked.command == "help" else execute(asked)

    return answer_of(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
