// `tiara asm`: assembly text to a program container.
#include <fmt/core.h>


#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/program_file.h"
#include "apps/tiara/commands.h"

namespace tiara::apps {

int asm_main(int argc, char** argv) {
  CommandLine app("Assembles a NIC program. Whether it is safe is for 'tiara verify' to say.");
  std::string source, output;
  app.add_option("file", source, "assembly text (docs/nic/isa.md)")
      ->required()
      ->option_text("FILE.tiara");
  app.add_option("--output,-o", output, "where the program goes")->required()->option_text("OUT");
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto program = load_program(source);
  if (!program) return complain(kExitDataError, program.error().message);
  const auto container = nic::serialize(*program);
  if (const auto written = write_file(output, container); !written)
    return complain(kExitOsError,
                    written.error().message + "; name a file that can be written with -o");
  fmt::print("{}: {} version {}, {} instructions, {} bytes, hash {:016x}\n", output, program->name,
             program->version, program->code.size(), container.size(), nic::content_hash(*program));
  return kExitOk;
}

}  // namespace tiara::apps
