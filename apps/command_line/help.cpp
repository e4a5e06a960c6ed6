// troupe help: commands, programs, subjects; and all of it as manual pages.
#include "command_line/help.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <ostream>

#include "command/commands.hpp"
#include "command/python_program.hpp"
#include "command_line/definition.hpp"
#include "examples/catalogue.hpp"
#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::apps {
namespace {

struct Subject {
  std::string_view name, about, text;  ///< a text that is empty is made: see text_of
};

constexpr std::array subjects = {
    Subject{
        "exit-codes", "What the command answers to the shell",
        "0          fine\n"
        "1          the program or scene ran, and failed\n"
        "2          the command line is wrong, or a program does not take its parameters; nothing was done\n"
        "3          a file, module or platform cannot be opened, or has the wrong content\n"
        "124        out of time: a scene, or a run with --timeout\n"
        "130        interrupted by Ctrl-C or SIGTERM: cancelled and cleaned up\n"
        "128 + n    signal n ended it at once: 139, 134, 136 for a kernel that crashed\n"},
    Subject{
        "parameters", "How programs get values from the command line",
        "troupe run heat --param size=256 --param steps=10\n"
        "\n"
        "`troupe run PROGRAM --help` lists what a program takes: the name, the type, the default. Programs\n"
        "of your own have names for theirs when they are declared:\n"
        "\n"
        "  void train(troupe::Orchestrator& node, int epochs, float rate);\n"
        "  TROUPE_PROGRAM(train);\n"
        "  TROUPE_PARAMETERS(train, {\"epochs\", \"10\", \"how often\"}, {\"rate\", nullptr, \"of "
        "learning\"});\n"
        "\n"
        "Else they are counted from 0: --param 0=10 --param 1=1e-3. A tensor cannot be given here.\n"},
    Subject{"types", "The element types, as options and pages write them", ""},
    Subject{
        "environment", "Variables that the command looks at",
        "TROUPE_PLATFORM_PATH       folders with platforms (libtroupe_NAME.so), before those of the\n"
        "                           installation\n"
        "TROUPE_COMM_TIMEOUT        seconds after which a rank that waits for another gives up (120)\n"
        "TROUPE_CHIPS_PER_DEVICE    how many chips each real device is (as few as a node's chips need)\n"
        "TROUPE_CHIP_PROGRAM        the program that a chip in a process of its own is (--isolate, "
        "troupe node),\n"
        "                           if it is not found by itself\n"
        "TROUPE_CUDA_LIBRARY        the driver library of CUDA devices, if it is not found by itself\n"
        "TROUPE_OPENCL_LIBRARY      the same for OpenCL\n"
        "TROUPE_CACHE               where the Python package keeps kernels that it compiled\n"
        "                           (~/.cache/troupe)\n"
        "TROUPE_CLANG               the clang that compiles them for OpenCL devices, if not the one that is\n"
        "                           found by itself\n"
        "TROUPE_LLVM_SPIRV          the same of llvm-spirv\n"
        "TROUPE_NVCC                the same of nvcc, for CUDA devices\n"
        "TROUPE_CUDA_ARCHITECTURES  for which of them: 80;90 (all that are tried)\n"
        "TROUPE_COMPAT_PLATFORM     for scripts of another system (share/troupe/compat): the platform of\n"
        "                           their chips\n"
        "TROUPE_COMPAT_SUB_WORKERS  the same: sub-workers are processes, or threads (processes)\n"
        "OMPI_COMM_WORLD_RANK       set by mpirun: which of the nodes this is (troupe node --ranks), with\n"
        "                           OMPI_COMM_WORLD_SIZE and OMPI_COMM_WORLD_LOCAL_RANK; likewise PMI_RANK,\n"
        "                           PMI_SIZE and MPI_LOCALRANKID or PMI_LOCAL_RANK, or SLURM_PROCID,\n"
        "                           SLURM_NTASKS and SLURM_LOCALID\n"
        "TERM                       with TERM=dumb no line of a terminal is written over\n"},
};

/// What an element type is in C++, and what there is to know.
std::string_view in_cpp(runtime::DType dtype) {
  using runtime::DType;
  constexpr std::string_view opaque = "none: a byte that kernels understand, and the host moves";
  switch (dtype) {
    case DType::f64:
      return "double";
    case DType::f32:
      return "float";
    case DType::f16:
      return "troupe::runtime::Float16, computed in float";
    case DType::bf16:
      return "troupe::runtime::BFloat16, computed in float";
    case DType::i8:
      return "std::int8_t";
    case DType::i16:
      return "std::int16_t";
    case DType::i32:
      return "std::int32_t";
    case DType::i64:
      return "std::int64_t";
    case DType::u8:
      return "std::uint8_t";
    case DType::u16:
      return "std::uint16_t";
    case DType::u32:
      return "std::uint32_t";
    case DType::u64:
      return "std::uint64_t";
    case DType::boolean:
      return "bool: 0 or 1";
    case DType::f8e4m3:
    case DType::f8e8m0:
    case DType::f4e2m1:
      return opaque;
  }
  return "";
}

/// The list in dtype.hpp, for people.
std::string element_types() {
  std::string text = "name    bytes  in C++\n";
  const auto padded = [](std::string word, std::size_t width) {
    return word + std::string(word.size() < width ? width - word.size() : 1, ' ');
  };
  for (std::uint32_t number = 0; number < 256; ++number) {
    if (!runtime::is_dtype(number)) continue;
    const auto dtype = static_cast<runtime::DType>(number);
    text += padded(std::string(name_of(dtype)), 8) + padded(std::to_string(size_of(dtype)), 7);
    text += std::string(in_cpp(dtype)) + "\n";
  }
  return text +
         "\nThe long names (float32, int64, bfloat16) are understood where a type is read, as in\n"
         "--tensor f32[8,64]:in.\n";
}

std::string text_of(const Subject& subject) {
  return subject.text.empty() ? element_types() : std::string(subject.text);
}

std::string title_of(const CLI::App& command) {
  std::string called = command.get_name();
  for (const auto* above = command.get_parent(); above != nullptr; above = above->get_parent()) {
    called = above->get_name() + " " + called;
  }
  return called;
}

/// Those of a command and of all within it.
void gather(const CLI::App& command, std::vector<const CLI::App*>& found) {
  for (const auto* sub : commands_of(command)) {
    found.push_back(sub);
    gather(*sub, found);
  }
}

std::vector<const CLI::App*> all_commands(const CLI::App& app) {
  std::vector<const CLI::App*> found = {&app};
  gather(app, found);
  return found;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// For roff: no line begins with a dot or an apostrophe, a backslash is itself, a hyphen can be copied.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (out.empty() || out.back() == '\n') out += c == '.' || c == '\'' ? "\\&" : "";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c != '`') {
      out += c;
    }
  }
  return out;
}

std::string as_written(std::string_view text) { return ".nf\n" + roff(text) + "\n.fi\n"; }

void add_options(const CLI::App& command, bool positionals, std::string& page) {
  bool any = false;
  for (const auto* option : shown_options(command)) {
    if (option->get_positional() != positionals) continue;
    if (!any) page += std::string(".SH ") + (positionals ? "ARGUMENTS" : "OPTIONS") + "\n";
    any = true;
    std::string head = positionals ? "\\fB" + roff(option->get_name(true)) + "\\fR" : "";
    if (!positionals) {
      for (const auto& name : option->get_snames()) head += "\\fB" + roff("-" + name) + "\\fR, ";
      for (const auto& name : option->get_lnames()) head += "\\fB" + roff("--" + name) + "\\fR";
      if (option->get_items_expected_max() > 0) head += " \\fI" + roff(option->get_type_name()) + "\\fR";
    }
    page += ".TP\n" + head + "\n" + roff(option->get_description());
    if (!option->get_default_str().empty()) page += " (default: " + roff(option->get_default_str()) + ")";
    page += "\n";
  }
}

std::string synopsis(const CLI::App& command, const std::string& called) {
  std::string text = "\\fB" + roff(called) + "\\fR [\\fIOPTIONS\\fR]";
  if (!commands_of(command).empty()) text += " \\fICOMMAND\\fR";
  for (const auto* option : shown_options(command)) {
    if (!option->get_positional()) continue;
    std::string name = option->get_name(true);
    if (option->get_expected_max() > 1) name += "...";
    text += " \\fI" + (option->get_required() ? name : "[" + name + "]") + "\\fR";
  }
  return text;
}

std::string hyphened(std::string text) {
  std::ranges::replace(text, ' ', '-');
  return text;
}

}  // namespace

std::vector<Topic> help_topics() {
  std::vector<Topic> topics;
  const Definition all;
  for (const auto* command : commands_of(all.app)) {
    topics.push_back({command->get_name(), command->get_description()});
  }
  for (const Example& example : examples()) {
    topics.push_back({std::string(example.name), std::string(example.summary)});
  }
  for (const Subject& subject : subjects) {
    topics.push_back({std::string(subject.name), std::string(subject.about)});
  }
  return topics;
}

std::string subject_text(std::string_view name) {
  const auto found = std::ranges::find(subjects, name, &Subject::name);
  return found == subjects.end() ? std::string() : text_of(*found);
}

std::string manual_page(const Definition& all, const std::string& called) {
  const auto commands = all_commands(all.app);
  const auto found =
      std::ranges::find_if(commands, [&](const auto* command) { return title_of(*command) == called; });
  if (found == commands.end()) return {};
  const CLI::App& command = **found;
  const bool main = &command == &all.app;
  std::string page = ".TH " + roff(hyphened(called)) + " 1 \"\" \"troupe " + version() + "\" troupe\n";
  page += ".SH NAME\n" + roff(hyphened(called)) + " \\- ";
  page += roff(main ? "run task graphs on machines with many accelerator chips" : command.get_description());
  page += "\n.SH SYNOPSIS\n" + synopsis(command, called) + "\n";
  if (main) page += ".SH DESCRIPTION\n" + as_written(command.get_description());
  add_options(command, true, page);
  add_options(command, false, page);
  if (const auto subs = commands_of(command); !subs.empty()) {
    page += ".SH COMMANDS\n";
    for (const auto* sub : subs) {
      page +=
          ".TP\n\\fB" + roff(sub->get_name()) + "\\fR\n" + roff(first_line(sub->get_description())) + "\n";
    }
  }
  if (const auto footer = command.get_footer(); !footer.empty()) page += ".SH NOTES\n" + as_written(footer);
  if (main) {
    for (const Subject& subject : subjects) {
      std::string head(subject.name);
      std::ranges::transform(head, head.begin(),
                             [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      page += ".SH " + roff(head) + "\n" + as_written(text_of(subject));
    }
  }
  page += ".SH SEE ALSO\n";
  std::string related;
  for (const auto* other : commands) {
    if (other == &command) continue;
    related += (related.empty() ? "" : ",\n") + (".BR " + roff(hyphened(title_of(*other))) + " (1)");
  }
  return page + related + "\n";
}

int execute(const HelpCommand& command, Console& console) {
  std::string asked;
  for (const auto& word : command.words) asked += (asked.empty() ? "" : " ") + word;
  if (asked.starts_with("troupe ")) asked.erase(0, 7);
  if (asked == "troupe") asked.clear();
  const Definition all;
  if (command.manual) {
    const std::string page = manual_page(all, asked.empty() ? "troupe" : "troupe " + asked);
    if (!page.empty()) {
      console.out << page;
      return exit_ok;
    }
  } else if (asked.empty()) {
    console.out << all.app.help();
    console.out << "\nSubjects, for `troupe help SUBJECT`:\n";
    for (const Subject& subject : subjects) {
      console.out << "  " << subject.name << std::string(28 - subject.name.size(), ' ') << subject.about
                  << "\n";
    }
    return exit_ok;
  } else {
    if (const auto text = subject_text(asked); !text.empty()) {
      console.out << text;
      return exit_ok;
    }
    for (const auto* found : all_commands(all.app)) {
      if (title_of(*found) != "troupe " + asked) continue;
      const auto called = title_of(*found);
      console.out << found->help(called.substr(0, called.rfind(' ')));
      return exit_ok;
    }
    const bool file = names_python_program(asked) || asked.find('/') != std::string::npos ||
                      asked.find(".so") != std::string::npos;
    if (file || find_example(asked) != nullptr) return execute(ProgramHelpCommand{asked}, console);
  }
  std::vector<std::string> known;
  for (const auto& topic : help_topics()) known.push_back(topic.name);
  for (const auto* found : all_commands(all.app)) {
    if (found != &all.app) known.push_back(title_of(*found).substr(7));
  }
  console.err << "troupe: there is no help on \"" << asked
              << "\"\n  hint: " << runtime::did_you_mean(asked, known)
              << "`troupe help` lists the commands and subjects\n";
  return exit_usage;
}

}  // namespace troupe::apps
