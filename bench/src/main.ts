/** The benchmark's command. */
