from datacosmos.cli import main

main()
