// A user's own filters: fastify plugins, one module each, loaded in the order of their names.
import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Logger } from '@wishbone/runtime/log'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'

const modules = /\.(?:mjs|js|ts|mts)$/

/** Registers every module of the folder. @throws Error that names the module that is no plugin. */
export function pluginsFrom(folder: string, log: Logger): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    const names = (await readdir(folder)).filter((name) => modules.test(name) && !name.includes('.test.')).sort()
    for (const name of names) {
      const module: { default?: unknown } = await import(pathToFileURL(resolve(folder, name)).href)
      const plugin = module.default
      if (typeof plugin !== 'function')
        throw new Error(`${folder}/${name} has no default export that is a fastify plugin`)
      // Hooks of a plugin must see every request, so its encapsulation is taken off.
      await app.register(fp(plugin as FastifyPluginAsync, { name, encapsulate: false }))
      log.info('a plugin is loaded', { name })
    }
  }
}
