// Modules for a node on another machine: named by what is in their files, and sent along if it may be.
#include <fstream>
#include <system_error>

#include "host/context.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {

Result<ModuleFiles::Known> ModuleFiles::of(const std::string& file) {
  const std::lock_guard lock(mutex_);
  std::error_code problem;
  Known now;
  now.bytes = std::filesystem::file_size(file, problem);
  if (!problem) now.written = std::filesystem::last_write_time(file, problem);
  if (problem)
    return Error(Errc::bad_callable, "module '" + file + "' is not there any more: " + problem.message());
  auto& known = known_[file];
  if (!known.digest.empty() && known.bytes == now.bytes && known.written == now.written) return known;
  const auto digest = runtime::sha256_of_file(file);
  if (!digest) return digest.error();
  now.digest = *digest;
  return known = now;
}

/// `digest`: the module's name there.
Answer Context::bring_module(const std::string& file, const std::string& name, std::string& digest) {
  const auto known = settings_->modules->of(file);
  if (!known) return Answer::of(known.error());
  digest = runtime::to_string(known->digest);
  ModuleAsked asked;
  asked.digest = known->digest.bytes;
  asked.bytes = known->bytes;
  // Of two who need it one sends it, and the other finds it there.
  const std::lock_guard lock(bringing_);
  Writer question;
  question.put(asked).text(std::filesystem::path(file).filename().string());
  auto answer = ask(Kind::find_module, question);
  if (answer.code != 0) return answer;
  Reader reader(answer.more);
  if (reader.get<std::uint32_t>() != 0) return {};  // it is there
  std::ifstream from(file, std::ios::binary);
  std::vector<char> bytes(std::size_t{1} << 20U);
  for (std::uint64_t done = 0; done < asked.bytes;) {
    from.read(bytes.data(),
              static_cast<std::streamsize>(std::min<std::uint64_t>(bytes.size(), asked.bytes - done)));
    const auto count = static_cast<std::uint64_t>(from.gcount());
    if (count == 0)
      return {TROUPE_DEVICE_BAD_CALLABLE, "'" + name + "': its module '" + file + "' cannot be read", {}};
    Writer part;
    part.put(ModulePart{asked.digest, done}).raw(bytes.data(), static_cast<std::size_t>(count));
    answer = ask(Kind::module_part, part);
    if (answer.code != 0) return answer;
    done += count;
  }
  return {};
}

}  // namespace troupe::platform::isolation
