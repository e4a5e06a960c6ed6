#include <filesystem>
#include <ostream>

#include "command/commands.hpp"
#include "errc.hpp"
#include "trace/files.hpp"

namespace troupe::apps {
namespace {

Result<void> make_folder(const std::string& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  return problem ? Result<void>(cannot_write(folder, problem.value())) : Result<void>();
}

Result<void> export_text(const std::string& folder, const DumpEntry& entry, std::size_t index,
                         const std::string& bytes) {
  if (auto made = make_folder(folder); !made) return made;
  // Only the number is of our making: names may contain anything.
  return write_file(folder + "/" + std::to_string(index) + ".txt", [&](std::ostream& out) {
    out << "# " << describe(entry, index, bytes) << "\n" << render_elements(entry, bytes);
  });
}

Result<void> export_npy(const DumpCommand& command, const DumpEntry& entry, std::size_t index,
                        const std::string& bytes) {
  if (entry.truncated) return {};  // its line says that there are no elements
  if (auto made = make_folder(command.npy_folder); !made) return made;
  const auto file = as_npy(entry, bytes);
  if (!file) return file.error();
  return write_file(command.npy_folder + "/" + std::to_string(index) + ".npy",
                    [&](std::ostream& out) { out << *file; });
}

}  // namespace

int execute(const DumpCommand& command, Console& console) {
  const auto refuse = [&](const Error& error) {
    console.err << "troupe: " << render(error) << "\n";
    return exit_cannot_start;
  };
  const auto entries = read_dump(command.folder);
  if (!entries) return refuse(entries.error());
  std::size_t shown = 0;
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const DumpEntry& entry = (*entries)[i];
    if (!command.filter.admits(entry, i)) continue;
    ++shown;
    const auto bytes = read_bytes(command.folder, entry);
    if (!bytes) return refuse(bytes.error());
    console.out << describe(entry, i, *bytes) << "\n";
    if (command.values) console.out << render_elements(entry, *bytes);
    if (!command.npy_folder.empty()) {
      if (const auto written = export_npy(command, entry, i, *bytes); !written)
        return refuse(written.error());
    }
    if (command.export_folder.empty()) continue;
    const auto written = export_text(command.export_folder, entry, i, *bytes);
    if (!written) return refuse(written.error());
  }
  console.err << shown << " of " << entries->size() << " tensors\n";
  return exit_ok;
}

}  // namespace troupe::apps
