// The images that tests deploy; see scripts/hosts/web-image.ts for their behaviours.
export { type Image, type ImageConfig, loadImage, makeImage, pullImage } from '../../scripts/hosts/image.ts'
export { makeWebImage, type WebBehaviour, webPort } from '../../scripts/hosts/web-image.ts'
